"""A task with two metrics: records have both, and figures and thresholds take the one that is asked for."""

import json

import pytest
from omegaconf import OmegaConf

from analysis.dim_curve import dim_curve
from analysis.rank_curve import rank_curve
from analysis.report import report
from analysis.studies.records import load_records
from analysis.threshold import threshold
from hydra_plugins._threshold_search import Search, Settings
from intrinsic.errors import UserError
from tests.support.configs import CONF
from tests.support.glue import write
from tests.support.studies import add

pytest.importorskip("transformers")


@pytest.mark.nightly  # by day records with two metrics, below
@pytest.mark.usefixtures("surroundings")
def test_a_run_of_mrpc_is_drawn_by_either_metric(program, folders, tmp_path):
    write(tmp_path / "data", "mrpc", "train", 20)
    write(tmp_path / "data", "mrpc", "test", 10, start=100)
    status, _, err = program(
        f"study=two model=hf init=hub model.name={folders['bert']} dataset=mrpc data_dir={tmp_path / 'data'} epochs=1",
        tmp_path,
    )
    assert status == 0, err
    (path,) = (tmp_path / "two").glob("*/record.json")
    scores = json.loads(path.read_text())["last"]["test"]
    for metric, asked in (("accuracy", None), ("accuracy", "accuracy"), ("f1", "f1")):
        rows = rank_curve(tmp_path / "two", metric=asked, out=tmp_path / "out").rows
        assert (rows["score"].tolist(), rows["run_id"].tolist()) == ([scores[metric]], [path.parent.name])


def record_with_f1(study, method="subspace", **swept):
    path = add(study, method, 0.9, 0.8, projection="Fastfood" if "dim" in swept else "Identity", **swept)
    record = json.loads(path.read_text())
    for which in ("last", "best"):
        for scores in (record[which]["validation"], record[which]["test"]):
            scores |= {"f1": 1 - scores["accuracy"], "loss": 1.5}
    scores = {"accuracy": 0.3, "f1": 0.25}
    record["history"] = [{"epoch": 0, "validation": scores, "test": scores, "constant": {"test": 0.5}}]
    path.write_text(json.dumps(record))
    return path.parent.name


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered")
def test_the_metric_is_that_of_scores_choices_and_labels(tmp_path):
    for dim in (10, 30, 100):
        record_with_f1(tmp_path / "study", dim=dim)
    drawn = dim_curve(tmp_path / "study", metric="f1")
    assert drawn.rows["score"].tolist() == pytest.approx([0.1] * 3)
    assert drawn.rows["validation_score"].tolist() == pytest.approx([0.2] * 3)
    assert drawn.figure.axes[0].get_ylabel() == "test f1"
    assert "test f1" in report(tmp_path / "study", metric="f1", out=tmp_path / "page.html").read_text()


@pytest.mark.usefixtures("unrendered")
def test_a_threshold_of_validation_data_has_it_too(tmp_path):
    for dim in (10, 30, 100):
        record_with_f1(tmp_path / "study", dim=dim)
    record_with_f1(tmp_path / "study", "full")
    drawn = threshold(tmp_path / "study", metric="f1")
    (on_validation,) = json.loads(drawn.paths[0].read_text())["validation"]
    assert on_validation["scores"] == pytest.approx([0.2] * 3)
    assert on_validation["baselines"] == pytest.approx([0.2])


def test_a_search_takes_it_too(tmp_path):
    node = OmegaConf.to_container(OmegaConf.load(CONF / "hydra" / "sweeper" / "threshold.yaml"))
    del node["_target_"]
    search = Search([], [], Settings(**{**node, "metric": "f1"}))
    search.runs = [record_with_f1(tmp_path / "study", dim=dim) for dim in (10, 30, 100)]
    search.runs.append(record_with_f1(tmp_path / "study", "full"))
    search.update(tmp_path / "study")
    assert search.estimate.baselines == pytest.approx([0.2])  # on validation data
    assert search.estimate.scores == pytest.approx([0.2] * 3)


def test_a_metric_that_records_lack_is_one_line(tmp_path):
    record_with_f1(tmp_path / "study", dim=10)
    for metric in ("exact", "loss"):  # of a loss, lower is better
        with pytest.raises(
            UserError, match=rf"record.json has no metric {metric} of test data: need one of accuracy, f1$"
        ):
            load_records([tmp_path / "study"], metric=metric)
    add(tmp_path / "study", "subspace", projection="Fastfood", dim=30)
    add(tmp_path / "study", "subspace", projection="Fastfood", dim=30, seed=1, status="failed")
    frame, notes = load_records([tmp_path / "study"], metric="f1")
    assert len(frame) == 2
    assert frame["start"].iloc[0] == 0.25
    assert frame["constant"].isna().all()  # known of accuracy alone
    assert [note.partition("record.json ")[2] for note in notes] == [
        "has no metric f1 of test data: need one of accuracy"
    ]
