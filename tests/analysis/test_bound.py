"""The bound on the error: against binomial tails, its limits, and the figure."""

import math

import pytest
import torch
from scipy.stats import beta, binom

from analysis.bound import bound
from analysis.references.occam_bound import occam_bound
from intrinsic.errors import UserError
from intrinsic.files.tensors import write_tensors
from tests.support.studies import add, python

pytestmark = pytest.mark.usefixtures("unrendered")


@pytest.mark.parametrize(("wrong", "bits"), [(0, 0), (3, 20), (150, 0), (150, 40), (499, 5)])
def test_it_holds_by_the_exact_tail_of_the_binomial(wrong, bits):
    """At a true error of the bound, so few errors have a chance of delta 2^-bits at most; and it is not much larger."""
    found = occam_bound(wrong / 500, bits, 500)
    chance = 0.05 * 2.0**-bits
    assert binom.cdf(wrong, 500, found) <= chance * (1 + 1e-9)
    assert beta.ppf(1 - chance, wrong + 1, 500 - wrong) <= found <= 1.12 * beta.ppf(1 - chance, wrong + 1, 500 - wrong)


def test_limits():
    assert occam_bound(0.0, 0, 10**12) == pytest.approx(0, abs=1e-9)
    assert occam_bound(0.3, 1e9, 100) == 1  # as many bits as one likes say nothing
    assert occam_bound(1.0, 5, 100) == 1
    assert occam_bound(0.0, 100, 1000) == pytest.approx(1 - math.exp(-(100 * math.log(2) + math.log(20)) / 1000))
    assert occam_bound(0.1, 50, 1000) < occam_bound(0.1, 100, 1000) < occam_bound(0.1, 100, 500)


def planted(study, dim, train, test, **options):
    folder = add(study, "subspace", test=test, dim=dim, projection="Fastfood", **options).parent
    levels = torch.tensor([2, 8])
    arrays = {
        "levels": levels, "bits/seed": torch.tensor([20, 24]), "bits/z": torch.tensor([dim, 3 * dim]),
        "bits/codebook": 16 * levels, "train": torch.tensor([train - 0.3, train]).double(),
        "test": torch.tensor([test - 0.3, test]).double(),
    }  # fmt: skip
    exact = {"train": train + 0.01, "test": test + 0.01}
    values = {"dim": dim, "examples": 50_000, "exact": exact, "guess": {"accuracy": 0.1}}
    write_tensors(folder / "quantize.safetensors", arrays, {"values": values, "options": {}})


def test_the_figure_has_the_smallest_bound_of_each_run(study):
    for dim, score in ((100, 0.7), (300, 0.85), (1000, 0.93), (3000, 0.96)):
        planted(study, dim, score, score)
        planted(study, dim, 0.11, 0.1, dataset={"shuffle_labels": True})
    for seed in (0, 1):
        add(study, "full", test=0.98, seed=seed)
    with pytest.raises(UserError, match=r"different tasks: dataset\..*--across"):
        bound(study)
    drawn = bound(study, across=["dataset.shuffle_labels"], where=["dataset.shuffle_labels=true"])
    assert drawn.notes == ["no d90: no run of full has finished; `python run.py method=full` makes one"]
    assert drawn.results[0].endswith("vacuous: guessing has 0.900")
    drawn = bound(study, where=["dataset.shuffle_labels=null"])
    assert list(drawn.table["levels"]) == [8] * 4
    assert drawn.table["bits"].iloc[0] == f"{24 + 300 + 128:,}"
    assert drawn.table["bound"].iloc[0] == f"{occam_bound(0.3, 452, 50_000):.3f}"
    assert [path.name for path in drawn.paths] == [f"bound.{suffix}" for suffix in ("png", "pdf", "csv")]
    assert len(drawn.rows) == 8
    (line,) = [line for line in drawn.figure.axes[1].texts if "d90" in line.get_text()]
    assert 300 < line.xy[0] < 1000


def test_rates_that_validation_did_not_choose_are_left_out(study):
    for lr, score in ((0.01, 0.9), (0.1, 0.6), (1.0, 0.2)):
        planted(study, 100, score, score, lr=lr, validation=score)
    drawn = bound(study)
    assert drawn.table["train error"].tolist() == ["0.100"]
    assert len(drawn.rows) == 2
    assert "runs of settings that validation did not choose, left out: 2" in drawn.notes


def test_what_has_no_bound(study):
    add(study, "subspace", dim=30, projection="Fastfood")
    with pytest.raises(UserError, match=r"has quantize\.safetensors; `python -m experiments\.quantize .*demo` makes"):
        bound(study)
    assert "need 0 < delta < 1, got delta=2" in python("-m", "analysis.bound", str(study), "--delta", "2").stderr
