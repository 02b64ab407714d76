"""A search for d90: what it runs, what it says, and that asking for more of it adds to what is there."""

import contextlib
import io
import json

import pytest

from analysis.threshold import threshold
from tests.support.commands import run
from tests.support.configs import files
from tests.support.searches import SEARCH, SUBSPACE, content, found, records

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("surroundings")]

SPREAD = (10, 22, 46, 100, 215, 464, 1000)


@pytest.fixture(scope="module")
def searches(tmp_path_factory):
    """A study searched with ten runs, again, and with eighteen: what each printed, and the files that it left."""
    folder, results = tmp_path_factory.mktemp("searched"), []
    for runs in (10, 10, 18):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert run(f"{SUBSPACE} study=s hydra.sweeper.max_runs={runs}", folder) == 0
        results.append((out.getvalue(), files(folder / "s")))
    return folder / "s", results


@pytest.fixture
def searched(searches):
    """The folder of the whole search, and what it printed."""
    study, found = searches
    return study, found[-1][0]


def test_a_search_ends_with_an_interval(searched):
    study, out = searched
    curve = found(study)
    runs = records(study)
    full = [run["last"]["test"]["accuracy"] for run in runs.values() if run["method"] == "full"]
    assert sorted(curve["baselines"]) == sorted(full)
    assert len(full) == 3
    assert {run["config"]["seed"] for run in runs.values() if run["method"] == "full"} == {0, 1, 2}
    assert len(curve["dims"]) == len(runs) - 3 <= 15
    assert set(SPREAD) <= set(curve["dims"])
    (searched_on,) = content(study)["validation"]  # where it was narrow enough
    low, high = (searched_on["threshold"][end] for end in ("low", "high"))
    assert len(runs) > 16 or (low is not None and high is not None and high / low <= 1.3)
    assert content(study)["split"] == "test"  # which is reported
    assert sorted(searched_on["baselines"]) != sorted(full)
    assert f"{len(runs)} runs of at most 18" in out
    assert " on validation data, until high / low <= 1.3\n" in out
    for dim in set(curve["dims"]):  # repeated sizes are other seeds
        seeds = [run["config"]["seed"] for run in runs.values() if run["config"].get("dim") == dim]
        assert sorted(seeds) == list(range(len(seeds)))


def test_a_start_above_the_target_ends_the_search(program, tmp_path):
    """Fine-tuned on the task itself: there is nothing to search for, and no number from a fit."""
    start = "init=pretrained init.source.dataset.rotate=90 init.source.epochs=12 init.source.batch_size=16"
    status, out, _ = program(f"{SUBSPACE.replace('init=scratch', start)} epochs=1 study=s", tmp_path)
    assert status == 0
    assert "10 runs of at most 18: dim d90 = 0 (the start is above the target: 0." in out
    threshold_ = found(tmp_path / "s")["threshold"]
    assert (threshold_["value"], threshold_["low"], threshold_["high"]) == (0.0, None, None)
    assert threshold_["start"] > threshold_["target"] == pytest.approx(0.9 * threshold_["baseline"])


def test_the_baseline_may_be_of_another_start(program, tmp_path):
    start = "init=zero hydra.sweeper.baseline=[\\'method=full\\',\\'init=scratch\\']"
    status, _, err = program(f"{SUBSPACE} {start} study=s", tmp_path)
    assert status == 2
    assert "different tasks: init.source is" in err
    status, _, _ = program(f"{SUBSPACE} {start} hydra.sweeper.across=[init.source] study=s", tmp_path)
    assert status == 0
    starts = {run["method"]: run["config"]["init"]["source"] for run in records(tmp_path / "s").values()}
    assert starts == {"full": None, "subspace": "zero"}
    assert len(found(tmp_path / "s")["baselines"]) == 3


def test_a_search_is_what_the_analysis_makes_of_its_records(searched, tmp_path):
    study, _ = searched
    threshold(study, out=tmp_path)
    assert json.loads((tmp_path / "threshold.json").read_text())["curves"] == [found(study)]
    assert (study / "figures" / "threshold.csv").read_text() == (tmp_path / "threshold.csv").read_text()


def test_asked_for_more_only_what_is_new_is_trained(searches):
    _, ((_, before), (again, same), (more, after)) = searches
    assert same == before
    assert again.count("skipped: already there") == 10
    assert more.count("skipped: already there") == 10
    assert all(after[path] == content for path, content in before.items() if path.name == "record.json")


def test_learning_rates_are_tried_and_chosen_on_validation_data(program, tmp_path):
    rates = "hydra.sweeper.lrs=[0.003,0.01,0.03] hydra.sweeper.baseline_lrs=[0.003,0.01]"
    program(f"{SUBSPACE} study=s hydra.sweeper.max_runs=30 {rates}", tmp_path)
    runs = records(tmp_path / "s").values()
    spread, later = [], {}
    for each in runs:
        config, score = each["config"], each["last"]["validation"]["accuracy"]
        if config.get("dim") in SPREAD and config["seed"] == 0:
            spread.append((config["dim"], config["lr"], score))
        elif "dim" in config:
            later.setdefault((config["dim"], config["seed"]), set()).add(config["lr"])
    assert len(spread) == 21
    assert sum(run["method"] == "full" for run in runs) == 6
    assert later
    for (dim, _), tried in later.items():
        near = min(SPREAD, key=lambda size: max(size / dim, dim / size))
        best = max((score, -lr) for size, lr, score in spread if size == near)
        assert -best[1] in tried
        assert len(tried) in (2, 3)


def test_ranks_are_searched_too_and_combinations_one_by_one(program, tmp_path):
    ranks = "method=lora model.width=16,32 hydra.sweeper.axis=rank hydra.sweeper.low=1 hydra.sweeper.high=8"
    status, out, _ = program(
        f"{SEARCH.replace('model.width=16', '')} {ranks} study=s hydra.sweeper.max_runs=10", tmp_path
    )
    assert status == 0
    assert "model.width=16 10 runs" in out
    assert "model.width=32 10 runs" in out
    for number, width in ((1, 16), (2, 32)):
        content = json.loads((tmp_path / "s" / f"threshold-{number}.json").read_text())
        assert content["axis"] == "rank"
        assert content["setting"] == [f"model.width={width}"]


def test_the_baseline_has_none_of_the_methods_choices(program, tmp_path):
    status, _, _ = program(
        f"{SUBSPACE} projection=sparse granularity=tensor study=s hydra.sweeper.max_runs=10", tmp_path
    )
    assert status == 0
    assert found(tmp_path / "s")["curve"] == "subspace (sparse)"
