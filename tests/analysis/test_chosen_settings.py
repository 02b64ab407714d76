"""Which setting a point is of, which runs count for it, and what tells curves apart."""

import json

import pandas as pd
import pytest

from analysis.compare import compare
from analysis.dim_curve import dim_curve
from analysis.rank_curve import rank_curve
from intrinsic.files.run_id import run_id
from tests.support.studies import add, point

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]


def test_learning_rate_is_chosen_on_validation(study):
    for seed in (0, 1):
        add(study, rank=1, seed=seed, lr=0.1, test=0.7, validation=0.9)
        add(study, rank=1, seed=seed, lr=0.01, test=0.9, validation=0.7)  # test data would choose this one
    add(study, rank=1, seed=0, lr=1.0, test=0.99, validation=0.99)
    add(study, rank=1, seed=1, lr=1.0, status="diverged")  # so the seed that is left doesn't stand for both
    drawn = rank_curve(study)
    assert point(drawn, "lora", 1)["mean"] == pytest.approx(0.7)
    rows = pd.read_csv(drawn.paths[2])[["lr", "tried", "chosen"]].to_numpy().tolist()
    assert rows == [[0.01, 3, False]] * 2 + [[0.1, 3, True]] * 2 + [[1.0, 3, False]] * 2


def test_a_rate_is_not_chosen_for_its_seeds(study):
    """Tuned on one seed, the best by far on it, and then run on two that are harder."""
    for seed, validation in enumerate((0.95, 0.92, 0.91)):
        add(study, rank=1, seed=seed, lr=0.01, test=0.8, validation=validation)
    for lr, validation in ((0.001, 0.85), (0.1, 0.94)):
        add(study, rank=1, lr=lr, test=0.7, validation=validation)
    add(study, rank=2, seed=5, lr=0.01, test=0.8, validation=0.9)  # with no seed in common: by the scores
    add(study, rank=2, seed=6, lr=0.1, test=0.7, validation=0.91)
    drawn = rank_curve(study)
    assert point(drawn, "lora", 1)[["setting", "runs", "tried"]].to_list() == ["lr=0.01", 3, 3]
    assert point(drawn, "lora", 2)["setting"] == "lr=0.1"


def test_a_rate_is_not_chosen_for_the_seeds_of_a_source(study):
    """The same of seeds.projection beside one seed: 0.1 was tried on the easy one alone, where 0.01 is better."""
    for own, validation in enumerate((0.95, 0.92, 0.91)):
        add(study, rank=1, lr=0.01, validation=validation, seeds={"projection": own, "init": None})
    add(study, rank=1, lr=0.1, validation=0.94, seeds={"projection": 0, "init": None})
    assert point(rank_curve(study), "lora", 1)["setting"] == "lr=0.01"


def test_a_run_by_other_threads_is_no_other_seed(study):
    """Of a sweep in turn, and of the same one by a launcher that gives each job one thread."""
    for seed, score in enumerate((0.8, 0.9)):
        add(study, rank=1, seed=seed, test=score, threads=None)
        add(study, rank=1, seed=seed, test=score + 1e-6, threads=1)
        add(study, rank=2, seed=seed, test=score, threads=1)
    for path in study.glob("*/record.json"):  # ids as runs have them
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"run_id": run_id(record["config"])}))
    drawn = rank_curve(study)
    found = point(drawn, "lora", 1)
    assert found["runs"] == 2
    assert (found["mean"], found["sd"]) == pytest.approx((0.85, 0.0707107), abs=2e-6)
    assert point(drawn, "lora", 2)["runs"] == 2
    said = "2 of the runs differ from others in their threads, or in how a number or a seed is written, alone"
    assert f"{said}, and count once" in drawn.notes
    assert point(rank_curve(study, where=["threads=1"]), "lora", 1)["mean"] == pytest.approx(0.850001, abs=1e-9)


def test_a_run_that_is_written_otherwise_is_no_other_seed(study):
    for written in ({"lr": 1}, {"lr": 1.0}, {"lr": 1, "seeds": {"init": 0, "order": None}}):
        add(study, rank=1, seed=0, test=0.8, **written)
    add(study, rank=1, seed=0, test=0.9, lr=1, seeds={"init": 1})
    found = point(rank_curve(study), "lora", 1)
    assert (found["runs"], found["mean"]) == (2, pytest.approx(0.85))


def test_the_optimisers_own_learning_rate_counts(study):
    """`optim.lr=...` sweeps the rate without touching the knob `lr`: two settings, not two repeats."""
    add(study, rank=1, validation=0.8, test=0.99, optim={"lr": 0.1})
    add(study, rank=1, validation=0.9, test=0.90, optim={"lr": 0.2})
    chosen = point(rank_curve(study), "lora", 1)
    assert (chosen["setting"], chosen["tried"], chosen["mean"]) == ("lr=0.2", 2, 0.9)


def test_other_optimiser_settings_are_chosen_and_other_variants_are_curves(study):
    add(study, rank=1, validation=0.8, optim={"weight_decay": 0.0}, space={"alpha": 8, "rank": 1})
    add(study, rank=1, validation=0.9, optim={"weight_decay": 0.1}, space={"alpha": 8, "rank": 1})
    add(study, rank=1, validation=0.9, optim={"weight_decay": 0.1}, space={"alpha": 16, "rank": 1})
    points = rank_curve(study).points.set_index("curve")
    assert points["tried"].to_dict() == {"lora, alpha=8": 2, "lora, alpha=16": 1}  # not three seeds of one point
    assert set(points["setting"]) == {"lr=0.01, weight_decay=0.1"}


def test_a_curve_of_another_class_is_named_by_its_class(study):
    """Not by the arguments that the others have not, nor by those that are its own at every point."""
    for dim in (10, 30):
        add(study, method="subspace", dim=dim, space={"_target_": "spaces.Full", "embeddings": True})
        for targets in ("a", "b"):
            add(study, method="subspace", dim=dim, space={"_target_": "spaces.LoRA", "alpha": 8, "targets": targets})
    names = {"subspace, space=Full", "subspace, space=LoRA, targets=a", "subspace, space=LoRA, targets=b"}
    assert set(dim_curve(study).points["curve"]) == names


def test_a_size_that_differs_at_one_count_is_no_name(study):
    """A trained head of 650 beside 350 coordinates, and 1,000 coordinates, are of two heads and not of two sizes."""
    for dim, head in ((300, "freeze"), (1000, "freeze"), (350, "train")):
        path = add(study, "subspace", dim=dim)
        record = json.loads(path.read_text())
        record["numbers"]["trained"] = dim + 650 * (head == "train")
        record["config"]["head"] = head
        path.write_text(json.dumps(record))
    assert curves(compare(study)) == {"subspace, head=freeze": [300, 1000], "subspace, head=train": [1000]}


def counted(path, trained):
    """A run's record with another count of trained parameters."""
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"numbers": {"trained": trained}}))


def curves(drawn):
    return drawn.points.groupby("curve")["x"].apply(list).to_dict()


def test_networks_of_no_count_in_common_are_curves_of_their_own(study):
    """Otherwise the points of all would be joined in one curve by their counts, against the mean of their baselines."""
    for width in (20, 50):
        for rank in (1, 2, 4):
            counted(add(study, rank=rank, model={"width": width}), width * rank)
        counted(add(study, "full", model={"width": width}), width**2)
    found = {"full": [400, 2500], "lora, width=20": [20, 40, 80], "lora, width=50": [50, 100, 200]}
    drawn = compare(study, across=["model"])
    assert curves(drawn) == found
    assert any("full is of networks of 400 and 2,500 parameters" in note for note in drawn.notes)
    assert not drawn.results


def test_variants_of_no_count_in_common_are_curves_of_their_own(study):
    """LoRA in one matrix and in two, at the same ranks; one count that both have makes no curve of each rank."""
    for rank in (1, 2):
        for targets, per_rank in (("a", 64), ("b", 128), ("c", 100)):
            space = {"rank": rank, "alpha": 2.0 * rank, "targets": targets}
            counted(add(study, rank=rank, space=space), per_rank * rank)
    found = {"lora, targets=a": [64, 128], "lora, targets=b": [128, 256], "lora, targets=c": [100, 200]}
    assert curves(compare(study)) == found


def test_dims_at_one_rank_are_no_seeds_of_one_point(study):
    for dim, score in ((50, 0.2), (200, 0.6)):
        for seed in (0, 1):
            add(study, "unilora", rank=4, dim=dim, seed=seed, test=score + seed / 10)
    means = rank_curve(study).points.set_index("curve")["mean"].to_dict()
    assert means == pytest.approx({"unilora, dim=50": 0.25, "unilora, dim=200": 0.65})
