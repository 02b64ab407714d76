"""What figures and reports say was spent on their curves."""

import pytest

from analysis.compare import compare
from analysis.dim_curve import dim_curve
from analysis.report import report
from analysis.studies.efforts import efforts
from analysis.studies.records import load_records
from analysis.studies.selection import choose_settings
from tests.support.studies import add

pytestmark = pytest.mark.usefixtures("unrendered")
RATES = {0.01: 0.7, 0.03: 0.9, 0.1: 0.8}  # and their validation scores


def spent(study, x="dim"):
    frame, _ = load_records([study])
    rows, _ = choose_settings(frame.assign(x=frame[x]), "test")
    return {each.curve: each for each in efforts(rows, frame)}


def tuned(study, dim, rates, seeds=1, **swept):
    for lr, score in rates.items():
        for seed in range(seeds):
            add(study, "subspace", projection="Fastfood", dim=dim, seed=seed, lr=lr, validation=score, **swept)


def foot(drawn):
    return drawn.figure.get_supxlabel().splitlines()


def test_equal_effort_is_one_line_without_a_warning(study):
    for dim in (10, 30, 100):
        tuned(study, dim, RATES, seeds=2)
    for seed in range(3):
        for lr, score in RATES.items():
            add(study, "full", seed=seed, lr=lr, validation=score)
    drawn = dim_curve(study)
    # three seeds of a line are those of the target, and not more effort than two seeds of a curve
    assert drawn.effort == ("full: 3 rates, 3 seeds, 30 epochs · subspace (fastfood): 3 rates, 2 seeds, 30 epochs",)
    assert foot(drawn) == [*drawn.effort]
    assert str(spent(study)["full"]) == "full: 3 rates (0.01 to 0.1), 3 seeds, 30 epochs"


def test_a_rate_at_the_edge_and_unequal_budgets_are_warned_of(study):
    tuned(study, 10, {0.01: 0.7, 0.03: 0.9})
    tuned(study, 30, {0.01: 0.7, 0.03: 0.9})
    tuned(study, 100, {0.01: 0.9, 0.03: 0.7})
    for seed in range(3):
        add(study, "full", seed=seed, epochs=50)
    drawn = compare(study, across=["epochs"])
    assert drawn.effort == (
        "full: 1 rate, 3 seeds, 50 epochs · subspace (fastfood): 2 rates, 1 seed, 30 epochs",
        "warning: the largest rate tried was chosen, try larger ones: subspace (fastfood) at 2 of 3 sizes",
        "warning: the smallest rate tried was chosen, try smaller ones: subspace (fastfood) at 1 of 3 sizes",
        "warning: unequal effort: rates 1 (full) to 2 (subspace (fastfood)), "
        "seeds 1 (subspace (fastfood)) to 3 (full), epochs 30 (subspace (fastfood)) to 50 (full)",
    )


def test_neighbours_of_a_found_rate_are_no_edge(study):
    """A search tries all rates at a spread of sizes, and between them the best one's neighbours."""
    tuned(study, 10, RATES)
    tuned(study, 30, {0.03: 0.9, 0.1: 0.8})
    tuned(study, 100, {0.3: 0.9})  # a rate of its own, and no choice: no edge either
    found = spent(study)["subspace (fastfood)"]
    assert (found.tried, found.edges, found.tuned) == ((1, 3), {"largest": 0, "smallest": 0}, 2)


def test_runs_that_failed_are_no_effort_and_odd_epochs_are_not_told(study):
    tuned(study, 10, RATES, epochs="many")
    add(study, "subspace", projection="Fastfood", dim=10, lr=1.0, status="failed", epochs="many")
    assert str(spent(study)["subspace (fastfood)"]) == "subspace (fastfood): 3 rates (0.01 to 0.1), 1 seed"


def test_too_many_kinds_of_effort_are_ranges(study):
    for rank, epochs in enumerate((10, 20, 30, 40), 1):
        add(study, rank=rank, epochs=epochs)
    drawn = compare(study, across=["epochs"])
    assert drawn.effort[0] == "each curve: 1 rate, 1 seed, 10 to 40 epochs"


@pytest.mark.slow
def test_a_report_says_it_in_its_protocol(study, tmp_path):
    for dim in (10, 30, 100):
        tuned(study, dim, {0.01: 0.7, 0.03: 0.9})
    page = report(study, out=tmp_path / "page.html").read_text()
    assert "subspace (fastfood): 2 rates (0.01 to 0.03), 1 seed, 30 epochs" in page
    assert "warning: the largest rate tried was chosen" in page
