"""Records: what identifies a run, and what a kill can leave behind."""

import json
import os

import pytest
from conftest import composed

from intrinsic.errors import UserError
from intrinsic.records import plain_numbers, read_record, run_id, write_atomically, write_record


def test_the_id_depends_on_what_changes_the_numbers_and_on_nothing_else():
    base = run_id(composed())
    same = ["study=other", "output=elsewhere", "data_dir=/x", "device=cpu", "threads=1", "checkpoint_seconds=1"]
    assert {run_id(composed(override)) for override in [*same, "logger=wandb"]} == {base}
    assert run_id(composed("dataset=mnist", "data_dir=/a")) == run_id(composed("dataset=mnist", "data_dir=/b"))
    assert run_id({"model": {"output": 1}}) != run_id({"model": {"output": 2}})  # a knob of someone's model
    others = ["seed=1", "rank=2", "lr=0.5", "epochs=3", "method=full", "model.width=65", "dataset.fraction=0.5"]
    assert len({base, *(run_id(composed(override)) for override in others)}) == len(others) + 1


def test_the_id_does_not_depend_on_the_order_of_keys():
    assert run_id({"a": 1, "b": {"c": 2, "d": 3}}) == run_id({"b": {"d": 3, "c": 2}, "a": 1})


def test_a_record_comes_back(tmp_path):
    write_record(tmp_path / "run", {"status": "finished", "numbers": {"trained": 3}})
    assert read_record(tmp_path / "run") == {"format": 1, "status": "finished", "numbers": {"trained": 3}}
    assert os.listdir(tmp_path / "run") == ["record.json"]
    assert read_record(tmp_path / "nothing") is None


def test_a_failed_write_leaves_the_old_file(tmp_path):
    write_record(tmp_path, {"status": "finished"})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_record(tmp_path, {"loss": float("nan")})
    with pytest.raises(RuntimeError, match="killed"):
        write_atomically(tmp_path / "record.json", _write_half_and_fail)
    assert json.loads((tmp_path / "record.json").read_text()) == {"format": 1, "status": "finished"}
    assert os.listdir(tmp_path) == ["record.json"]


def _write_half_and_fail(path):
    path.write_text("half")
    raise RuntimeError("killed")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"status": "finished"}', '{"format": 2}'])
def test_what_is_no_record_is_refused(tmp_path, text):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(UserError, match="delete it to run again"):
        read_record(tmp_path)


def test_numbers_that_json_cannot_hold():
    assert plain_numbers({"a": [float("nan"), 1.0], "b": (float("inf"), "x")}) == {"a": [None, 1.0], "b": [None, "x"]}
