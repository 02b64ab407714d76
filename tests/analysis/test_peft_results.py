"""Results of PEFT's method comparison as points of a figure."""

import json

import pytest

from analysis.compare import compare
from tests.support.studies import add, refused

pytestmark = pytest.mark.usefixtures("unrendered")


def result(path, **changes):
    """A result in PEFT's form, with numbers of our own."""
    content = {
        "run_info": {"experiment_name": "vera/tiny", "peft_config": {"peft_type": "VERA"}},
        "train_info": {
            "status": "success",
            "num_trainable_params": 700,
            "metrics": [{"step": 5, "valid accuracy": 0.6}, {"step": 9, "test accuracy": 0.81}],
        },
    }
    content["train_info"] |= changes
    path.write_text(json.dumps(content))
    return path


def test_a_result_of_peft_is_a_point(study, tmp_path):
    for rank in (1, 2):
        add(study, rank=rank, at_0=(0.1, 0.1))
    (tmp_path / "results").mkdir()
    file = result(tmp_path / "results" / "one.json")
    result(tmp_path / "results" / "two.json", status="failed")
    result(tmp_path / "results" / "three.json", metrics=[{"test dino_similarity": 0.5}])
    drawn = compare(study, tmp_path / "results")
    assert drawn.points.set_index("curve").loc["VERA (PEFT)", ["x", "trained", "mean"]].to_list() == [700, 700, 0.81]
    assert drawn.notes == [
        "results of PEFT left out, without test accuracy: 1",
        "results of PEFT left out, not successful: 1",
    ]
    (line,) = [line for line in drawn.figure.axes[0].lines if line.get_label() == "VERA (PEFT)"]
    assert (list(line.get_xdata()), list(line.get_ydata()), line.get_linestyle()) == ([700], [0.81], "None")
    alone = compare(study).rows
    assert compare(study, file, split="validation").notes == [
        "results of PEFT left out, without validation accuracy: 1"
    ]
    assert drawn.rows[drawn.rows["study"] != "PEFT"]["run_id"].tolist() == alone["run_id"].tolist()


def test_what_is_no_result_is_one_line(study, tmp_path):
    add(study, rank=1)
    file = tmp_path / "one.json"
    for changes, rule in (
        ({"num_trainable_params": -1}, "num_trainable_params is -1, not a number from 1"),
        ({"num_trainable_params": 1.5}, "num_trainable_params is 1.5, not a count"),
        ({"num_trainable_params": "many"}, "num_trainable_params is many, not a number"),
        ({"metrics": []}, "train_info.metrics is no list of measurements"),
        ({"metrics": [{"test accuracy": None}]}, "test accuracy is null, not a number"),
    ):
        refused(rule, study, result(file, **changes), figure=compare)
    for text, rule in (
        ("[", "cannot be read"),
        ("{}", "is no result in PEFT's form: need keys run_info and train_info"),
        ("[" * 100_000, "cannot be read"),
    ):
        file.write_text(text)
        refused(rule, study, file, figure=compare)
    refused("need a study beside results in PEFT's form", result(file), figure=compare)
