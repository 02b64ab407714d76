"""Where a search for d90 ends: at the bounds of the space, or before it begins, in one line."""

import pytest

from tests.support.commands import assert_one_line
from tests.support.searches import SEARCH, SUBSPACE, found, records

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("surroundings")]

SMALL = "model.width=4 model.depth=1"


@pytest.mark.parametrize(
    ("axis", "own", "most"),
    [
        ("dim", f"{SMALL} method=subspace", 65 * 4 + 5 * 10),
        ("dim", f"{SMALL} method=said", 65 * 4 + 5 * 10 - 1),
        ("dim", f"{SMALL} method=unilora rank=2", 64 * 2 + 2 * 4),
        ("rank", "method=lora", 16),
        ("rank", "method=lora_xs", 16),
        ("rank", "method=lora space.targets=[hidden.0,head]", 10),
    ],
)
def test_a_search_ends_where_the_space_does(program, axis, own, most, tmp_path):
    """No run fails for being too large, and the sizes are those of a search up to there.

    A rank is bounded by the largest matrix of "all-linear", and by the smallest of named targets.
    """
    low = " hydra.sweeper.axis=rank hydra.sweeper.low=1" * (axis == "rank")
    command = f"{SEARCH} {own}{low} hydra.sweeper.max_runs=13"
    status, _, err = program(f"{command} study=s", tmp_path)
    assert status == 0
    assert err.count(f"{axis} ends at {most}: the space has no more for hydra.sweeper.high=1000\n") == 1
    assert "need " not in err
    assert max(found(tmp_path / "s")["dims"]) == most
    assert program(f"{command} hydra.sweeper.high={most} study=told", tmp_path)[0] == 0
    assert records(tmp_path / "told").keys() == records(tmp_path / "s").keys()
    assert found(tmp_path / "told") == found(tmp_path / "s")


def test_a_search_above_the_space_ends_in_one_line(program, tmp_path):
    command = SEARCH.replace("model.width=16", "method=subspace model.width=4 model.depth=1")
    status, _, err = program(f"{command} hydra.sweeper.low=310 study=s", tmp_path)
    assert status == 2
    assert_one_line(
        err.splitlines()[-1] + "\n", "need hydra.sweeper.low < 310, the largest dim of this space, got low=310"
    )


BAD = {
    "hydra.sweeper.low=100 hydra.sweeper.high=10": r"need hydra.sweeper.low < high, got low=100 high=10",
    "hydra.sweeper.max_runs=5": r"need hydra.sweeper.max_runs from 10, for baseline and spread, to 100000, got 5",
    "hydra.sweeper.fraction=1.5": "fraction",
    "hydra.sweeper.ratio=1": "need hydra.sweeper.ratio to be a number > 1, got 1",
    "hydra.sweeper.lrs=0.1": "need hydra.sweeper.lrs to be null or a list",
    "hydra.sweeper.estimator=guess": "estimator",
    "hydra.sweeper.split=all": "need hydra.sweeper.split to be one of test, validation, train, null, got all",
    "hydra.sweeper.floor=half": "need hydra.sweeper.floor to be none, chance, start or a number, got .*floor=half",
    "hydra.sweeper.spread=2": "need an integer hydra.sweeper.spread >= 7, got hydra.sweeper.spread=2",
    "hydra.sweeper.axis=rank": "rank is not a knob of method=subspace",
    "hydra.sweeper.baseline=full": "need hydra.sweeper.baseline to be a list",
    "hydra.sweeper.nothing=1": "nothing",
    "dim=10,20": "the search sets dim by itself: leave it out, or use hydra/sweeper=basic",
    "seed=1": "the search sets seed by itself",
    "lr=0.1": r"use hydra.sweeper.lrs=\[...\]",
    "replicas=2": "use replicas=1",
}


@pytest.mark.parametrize("change", BAD)
def test_bad_searches_end_in_one_line(change, refused):
    refused(f"{SUBSPACE} study=bad {change}", BAD[change])


def test_runs_that_all_fail_end_the_search(program, tmp_path):
    status, _, err = program(f"{SUBSPACE} study=s device=nowhere", tmp_path)
    assert status == 2
    assert_one_line(err.splitlines()[-1] + "\n", "no run of the search has finished: device=nowhere")
