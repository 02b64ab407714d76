"""Records: what identifies a run, and what a kill can leave behind."""

import json
import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically
from intrinsic.files.plain_numbers import plain_numbers
from intrinsic.files.records import Record, read_record, write_record
from intrinsic.files.run_id import SINCE, SINCE_OF, run_id
from tests.support.configs import composed


@pytest.mark.slow
def test_the_id_depends_on_what_changes_the_numbers_and_on_nothing_else():
    base = run_id(composed())
    same = ["study=other", "output=elsewhere", "data_dir=/x", "device=cpu", "checkpoint_seconds=1"]
    assert {run_id(composed(override)) for override in [*same, "logger=wandb"]} == {base}
    assert run_id(composed("dataset=mnist", "data_dir=/a")) == run_id(composed("dataset=mnist", "data_dir=/b"))
    assert run_id({"model": {"output": 1}}) != run_id({"model": {"output": 2}})  # a knob of someone's model
    others = [
        "seed=1",
        "threads=1",
        "threads=2",
        "rank=2",
        "lr=0.5",
        "epochs=3",
        "method=full",
        "model.width=65",
        "dataset.fraction=0.5",
    ]
    assert len({base, *(run_id(composed(override)) for override in others)}) == len(others) + 1


@pytest.mark.parametrize("target", SINCE_OF)
def test_an_argument_that_came_later_is_no_part_of_the_id_where_it_is_as_before(target):
    for key, before in SINCE_OF[target].items():
        for part in ("space", "model", "dataset", "optim"):
            old, now, other = (
                {part: {"_target_": target, **more}} for more in ({}, {key: before}, {key: "something else"})
            )
            assert run_id(old) == run_id(now) != run_id(other)
    assert run_id({"space": {"_target_": "another", key: None}}) != run_id({"space": {"_target_": "another"}})


def test_a_knob_that_came_later_is_no_part_of_the_id_where_it_is_as_before():
    assert run_id({"seed": 0, **SINCE}) == run_id({"seed": 0})
    assert run_id({"seed": 0, **SINCE, "redraw": 3}) != run_id({"seed": 0})


def test_the_id_does_not_depend_on_the_order_of_keys():
    assert run_id({"a": 1, "b": {"c": 2, "d": 3}}) == run_id({"b": {"d": 3, "c": 2}, "a": 1})


FINISHED = {
    "run_id": "0123456789ab",
    "study": "demo",
    "method": "lora",
    "status": "finished",
    "metric": "accuracy",
    "numbers": {"trained": 3},
    "seconds": 0.5,
    "last": {"epoch": 1, "test": {"accuracy": 0.5}},
    "config": {"seed": 0},
}


def place(folder, content):
    """A record.json of whatever content."""
    (folder / "record.json").write_text(json.dumps({"format": 1, **content}))


def test_a_record_comes_back(tmp_path):
    record = Record(**FINISHED)
    write_record(tmp_path / "run", record)
    assert read_record(tmp_path / "run") == record
    place(tmp_path, FINISHED)  # one of a version that wrote less
    assert read_record(tmp_path) == record
    assert (record.count(), record.epochs(), record.score("test"), record.score("train")) == (3, 1, 0.5, None)
    assert os.listdir(tmp_path / "run") == ["record.json"]
    assert read_record(tmp_path / "nothing") is None


@pytest.mark.parametrize("missing", FINISHED)
def test_a_record_has_what_others_read(tmp_path, missing):
    for other in ({}, {missing: None}, {missing: True}, {missing: [1]}):
        kept = {name: value for name, value in FINISHED.items() if name != missing}
        place(tmp_path, kept | other)
        with pytest.raises(UserError, match=r"record.json is not a record \(.*\): delete it to run again"):
            read_record(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    failed = Record(run_id="0123456789ab", study="demo", status="failed", method="lora", error="why", config={})
    write_record(tmp_path, failed)
    for wrong in (Record(**FINISHED | {"seconds": float("nan")}), Record(**FINISHED | {"last": {"loss": -math.inf}})):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_record(tmp_path, wrong)
        write_record(tmp_path / "finite", wrong.finite())
    with pytest.raises(RuntimeError, match="killed"):
        write_atomically(tmp_path / "record.json", _write_half_and_fail)
    assert read_record(tmp_path) == failed
    kept = ["format", "run_id", "study", "status", "method", "error", "last", "best", "config"]
    assert list(json.loads((tmp_path / "record.json").read_text())) == kept
    assert sorted(os.listdir(tmp_path)) == ["finite", "record.json"]


def _write_half_and_fail(path):
    path.write_text("half")
    raise RuntimeError("killed")


GOOD = json.dumps({"format": 1, **FINISHED})
BAD = {
    "Expecting value": "",
    "is not a record:": "[]",
    "has format 2, need 1": '{"format": 2}',
    "'status' is None": '{"format": 1}',
    "nested too deep": "[" * 100_000,
    "NaN is not a number": GOOD.replace("0.5,", "NaN,"),
    "1e999 is beyond all floats": GOOD.replace("0.5,", "1e999,"),
    "is beyond 64 bits": GOOD.replace('"seed": 0', '"seed": ' + "9" * 5000),
    "18446744073709551616 is beyond 64 bits": GOOD.replace('"seed": 0', f'"seed": {2**64}'),
    "a key occurs twice": GOOD.replace('"seed": 0', '"seed": 0, "seed": 1'),
    "surrogates not allowed": GOOD.replace("lora", "\\ud800"),
    "can't decode byte": b"\xff",
    "more than 33,554,432": " " * (1 << 25) + GOOD,
}


@pytest.mark.parametrize("reason", BAD)
def test_what_is_no_record_is_refused(tmp_path, reason):
    text = BAD[reason]
    (tmp_path / "record.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=rf"(?s)record.json .*{reason}.*delete it to run again") as caught:
        read_record(tmp_path)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))
    assert str(caught.value).isprintable()


def test_what_is_no_file_is_no_record(tmp_path):
    """Nor is waited for: what a pipe holds may never come."""
    for name, make in {
        "pipe": os.mkfifo,
        "folder": os.mkdir,
        "dangling": lambda path: os.symlink("gone", path),
    }.items():
        (tmp_path / name).mkdir()
        make(tmp_path / name / "record.json")
        with pytest.raises(UserError, match=r"record.json cannot be read .*: delete it to run again"):
            read_record(tmp_path / name)


def outcome(function):
    """What a function returns, or the line of its error."""
    try:
        return function()
    except UserError as error:
        return str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200)
@given(name=st.sampled_from(sorted(FINISHED)), value=JSON, cut=st.integers(0, 400), flip=st.integers(0, 255))
def test_any_record_is_read_or_refused_in_one_line(tmp_path, name, value, cut, flip):
    text = json.dumps({"format": 1, **FINISHED, name: value}).encode()
    damaged = text[:cut] + bytes([flip]) + text[cut + 1 :]
    for content in (text, damaged, text[:cut]):
        (tmp_path / "record.json").write_bytes(content)
        found = outcome(lambda: read_record(tmp_path))
        if isinstance(found, str):
            assert found.isprintable()
        else:
            assert isinstance(found.config, dict)
            if found.status == "finished":
                assert isinstance(found.score("test"), float | int)


def test_numbers_that_json_cannot_hold():
    assert plain_numbers({"a": [float("nan"), 1.0], "b": (float("inf"), "x")}) == {"a": [None, 1.0], "b": [None, "x"]}
