"""Full fine-tuning cut to rank k: against numpy, planted ranks, records, and the figure."""

import copy
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import image
from safetensors.numpy import load_file
from torch import nn

from analysis.truncation import truncation
from experiments.finished.guess import guess
from experiments.truncate import Factors, matrices, truncate
from intrinsic.errors import UserError
from intrinsic.files.records import read_record
from intrinsic.subspace import Subspace
from intrinsic.tasks.task import Split, Task
from tests.support.commands import assert_one_line
from tests.support.measurements import folders, labelled, measure, reopened

pytestmark = pytest.mark.usefixtures("surroundings", "unrendered")

OUTPUTS = 4


def planted(rank, layers=None, noise=0.0):
    """A run of full fine-tuning whose updates have this rank, and a head and biases that moved."""
    torch.manual_seed(0)
    layers = layers or [nn.Linear(12, 10), nn.Tanh(), nn.Linear(10, 8), nn.Tanh(), nn.Linear(8, OUTPUTS)]
    start = Subspace(nn.Sequential(*layers))
    net = copy.deepcopy(start)
    with torch.no_grad():
        for p in net.model.parameters():
            if p.ndim == 1 or p.shape[0] == OUTPUTS:
                p.add_(torch.randn_like(p), alpha=0.3)
            else:
                p.add_(torch.randn(p.shape[0], rank) @ torch.randn(rank, p.shape[1]), alpha=0.4)
    inputs = torch.randint(9, (300, 5)) if isinstance(layers[0], nn.Embedding) else torch.randn(300, 12)
    return reopened(start, net, labelled(net.eval(), inputs, OUTPUTS))


def test_a_planted_rank_is_all_that_is_needed():
    run = planted(3)
    values, arrays = truncate(run, ranks=[1, 2, 3, 4])
    assert arrays["ranks"].tolist() == [0, 1, 2, 3, 4, 10]
    scores = arrays["update"][1].tolist()
    assert scores[3:] == [pytest.approx(0.9)] * 3  # every tenth label is wrong
    assert max(scores[:3]) < 0.9 - 0.02
    assert arrays["pretrained"][1, -1] == pytest.approx(0.9)
    assert max(arrays["pretrained"][1, :-2]) < 0.9 - 0.02  # W_0 has full rank
    assert values["matrices"] == {"0.weight": [10, 12], "2.weight": [8, 10]}  # not the head


@pytest.mark.parametrize("keep", ["all", "head", "nothing"])
def test_scores_are_those_of_numpy(keep):
    _, arrays = truncate(planted(4), keep=keep, draws=0)
    assert set(arrays) == {"ranks", "update", "pretrained"}
    run = planted(4)
    origin, trained = (
        {k: p.detach().double().numpy() for k, p in net.model.named_parameters()} for net in (run.start, run.net)
    )
    kept = {"all": list(trained), "head": ["4.weight", "4.bias"], "nothing": []}[keep]
    inputs, targets = run.task.test.inputs.double().numpy(), run.task.test.targets.numpy()

    def cut(matrix, k):
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        return left[:, :k] @ np.diag(values[:k]) @ right[:k]

    for place, k in enumerate(arrays["ranks"].tolist()):
        for kind in ("update", "pretrained"):
            theta = {name: (trained if name in kept else origin)[name] for name in origin}
            for name in ("0.weight", "2.weight"):
                moved, base = trained[name] - origin[name], origin[name]
                theta[name] = base + cut(moved, k) if kind == "update" else cut(base, k) + moved
            hidden = inputs
            for layer in (0, 2):
                hidden = np.tanh(hidden @ theta[f"{layer}.weight"].T + theta[f"{layer}.bias"])
            right = (hidden @ theta["4.weight"].T + theta["4.bias"]).argmax(1) == targets
            assert arrays[kind][1, place] == pytest.approx(right.mean(), abs=1e-6), (kind, k)  # a mean in float32


def test_embeddings_are_cut_where_asked():
    layers = [nn.Embedding(9, 6), nn.Flatten(), nn.Linear(30, 10), nn.Tanh(), nn.Linear(10, OUTPUTS)]
    assert matrices(nn.Sequential(*layers), False) == ["2.weight"]
    assert matrices(nn.Sequential(*layers), True) == ["0.weight", "2.weight"]
    values, arrays = truncate(planted(2, layers), embeddings="cut")
    assert list(values["matrices"]) == ["0.weight", "2.weight"]
    assert arrays["update"][1, 2:].tolist() == [pytest.approx(0.9)] * 4  # ranks 2, 4, 8, 10


def test_random_directions_hold_their_share():
    """The null: of the sum of squares, k of s random triples hold k / s; the first k of a cut to k hold the most."""
    matrix = torch.randn(40, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    factors = Factors.of(matrix)
    energy = matrix.square().sum()
    torch.testing.assert_close(factors.first(30, seed=3), matrix)
    shares = torch.stack([factors.first(10, seed=seed).square().sum() / energy for seed in range(300)])
    sd = shares.std() / 300**0.5
    assert abs(shares.mean() - 10 / 30) < 4 * sd
    assert factors.first(10).square().sum() / energy > shares.max()
    assert torch.linalg.matrix_rank(factors.first(10, seed=0)) == 10


def test_the_draws_share_their_ends():
    _, arrays = truncate(planted(3), draws=2)
    for kind in ("update", "pretrained"):
        drawn = arrays[f"{kind}_random"]
        assert drawn.shape == (2, 2, len(arrays["ranks"]))
        for end in (0, -1):
            assert (drawn[..., end] == arrays[kind][:, end]).all()
        assert not drawn[0].equal(drawn[1])


def test_what_cannot_be_cut():
    run = planted(3)
    for options, rule in (
        ({"ranks": [2, 11]}, r"need 0 <= k <= 10, the rank of the largest matrix, got ranks=11"),
        ({"ranks": [-1]}, r"got ranks=-1"),
        ({"splits": ["dev"]}, r"need splits to be train or validation or test, got dev"),
        ({"keep": "bias"}, r"need keep to be all or head or nothing, got bias"),
        ({"embeddings": "yes"}, r"need embeddings to be whole or cut, got yes"),
        ({"draws": -1}, r"need draws >= 0, got draws=-1"),
    ):
        with pytest.raises(UserError, match=rule):
            truncate(run, **options)
    still = reopened(run.start, copy.deepcopy(run.start), run.task)
    with pytest.raises(UserError, match="none of the 2 matrices to cut has moved"):
        truncate(still)


def test_the_best_constant_answer():
    def score(outputs, targets):
        return (outputs.argmax(-1) == targets).float()

    train = Split(torch.zeros(4, 1), torch.tensor([0, 1, 1, 2]))
    test = Split(torch.zeros(5, 1), torch.tensor([1, 1, 0, 3, 2]))
    task = Task(train, test, test, 4, loss=nn.functional.cross_entropy, score=score)
    assert guess(task, train) == {"loss": pytest.approx(1.5 * np.log(2)), "accuracy": 0.5}
    assert guess(task, test)["accuracy"] == pytest.approx(0.4)
    numbers = Split(torch.zeros(3, 1), torch.tensor([0.0, 1.0, 5.0]))
    task = Task(numbers, numbers, numbers, 1, loss=lambda outputs, targets: (outputs[:, 0] - targets).square().mean(),
                metrics=lambda outputs, targets: {"r": float("nan")}, metric="r")  # fmt: skip
    assert guess(task, numbers) == {"loss": pytest.approx(14 / 3)}


@pytest.mark.slow
def test_a_whole_run_has_the_score_of_its_record(study, capsys):
    assert measure("truncate", study) == 0
    for folder in folders(study, "full"):
        found, last = load_file(folder / "truncate.safetensors"), read_record(folder).last
        for name in ("update", "pretrained", "update_random"):
            scores = found[name].reshape(-1, *found[name].shape[-2:])[0]
            assert scores[:, -1].tolist() == [last["validation"]["accuracy"], last["test"]["accuracy"]]
    assert not (folders(study, "lora")[0] / "truncate.safetensors").exists()  # and none of them was reopened
    capsys.readouterr()
    assert measure("truncate", study) == 0
    assert "0 of 2 runs to measure" in capsys.readouterr().err


@pytest.mark.rendered
def test_the_figure(study, tmp_path):
    assert measure("truncate", study) == 0
    drawn = truncation(study, out=tmp_path)
    assert [path.name for path in drawn.paths] == [f"truncation.{suffix}" for suffix in ("png", "pdf", "csv")]
    assert drawn.paths[0].stat().st_size < 200_000
    assert image.imread(drawn.paths[0])[..., :3].std() > 0.05
    csv = pd.read_csv(drawn.paths[2])
    assert csv.groupby("curve")["seed"].nunique()["ΔW cut to rank k"] == 2
    table = drawn.table.set_index("k")
    records = [read_record(folder).score("test") for folder in folders(study, "full")]
    assert table["ΔW cut to k"].iloc[-1] == pytest.approx(np.mean(records))
    lora = {read_record(folder).config["rank"]: read_record(folder) for folder in folders(study, "lora")}
    assert table["LoRA trained at k"].dropna().to_dict() == {k: r.score("test") for k, r in lora.items()}
    assert any("less the update cut to it: between" in line for line in drawn.results)
    assert any("LoRA's head was frozen" in note for note in drawn.notes)
    assert truncation(study, out=tmp_path).paths[0].read_bytes() == drawn.paths[0].read_bytes()


def test_studies_that_lack_something(study, tmp_path, capsys):
    assert measure("truncate", study) == 0
    alone = tmp_path / "alone"
    shutil.copytree(folders(study, "full")[0], alone / folders(study, "full")[0].name)
    drawn = truncation(alone)
    assert any("no run of LoRA to compare with; `python run.py -m rank=1,2,4,8 study=alone`" in n for n in drawn.notes)
    with pytest.raises(
        UserError, match=r"no scores on split=train; `python -m experiments\.truncate .* --splits train`"
    ):
        truncation(alone, split="train")
    with pytest.raises(UserError, match=r"need 0 < fraction <= 1, got fraction=90"):
        truncation(alone, fraction=90)
    (file,) = alone.glob("*/truncate.safetensors")
    with pytest.raises(UserError, match=r"cannot write to .*; choose another folder with --out"):
        truncation(alone, out=file / "figures")
    file.unlink()
    with pytest.raises(UserError, match=r"has truncate\.safetensors; `python -m experiments\.truncate .*alone`"):
        truncation(alone)
    other = tmp_path / "other"
    shutil.copytree(folders(study, "lora")[0], other / "0123456789ab")
    with pytest.raises(UserError, match=r"no run of full has finished in .*; `python run\.py method=full study=other`"):
        truncation(other)
    capsys.readouterr()
    assert measure("truncate", other) == 2
    assert_one_line(capsys.readouterr().err, r"none has finished in .*; `python run\.py method=full study=other` makes")


def test_two_kinds_of_lora_are_two_curves(study, tmp_path):
    assert measure("truncate", study) == 0
    both = tmp_path / "both"
    shutil.copytree(study, both)
    for folder in folders(study, "lora"):
        shutil.copytree(folder, both / folder.name[::-1])
        record = (folder / "record.json").read_text().replace('"alpha": 8.0', '"alpha": 16.0')
        (both / folder.name[::-1] / "record.json").write_text(record.replace(folder.name, folder.name[::-1]))
    drawn = truncation(both)
    named = [f"LoRA trained at rank k, alpha={alpha}" for alpha in (16, 8)]
    assert [curve for curve in drawn.rows["curve"].unique() if curve.startswith("LoRA")] == named
    assert [text.get_text() for text in drawn.figure.legends[0].get_texts()][1:3] == named


def test_cuts_with_different_options_are_not_one_curve(study, tmp_path):
    mixed = tmp_path / "mixed"
    for folder in folders(study, "full"):
        shutil.copytree(folder, mixed / folder.name)
    assert measure("truncate", mixed, "--keep", "all") == 0
    assert measure("truncate", folders(mixed, "full")[0], "--keep", "nothing", "--ranks", 1, 2) == 0
    with pytest.raises(UserError, match=r"different options: \w+ is .*; `python -m experiments\.truncate .*mixed`"):
        truncation(mixed)
