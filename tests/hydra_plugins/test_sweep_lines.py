"""What jobs of a sweep print: where each run stands, whoever prints it, and in which order."""

import os
import re
import sys

import pytest
from hydra.core.utils import JobReturn, JobStatus

from experiments.terminal.lines import knobs
from experiments.terminal.sweep import (
    Line,
    Sweep,
    collect_lines,
    collecting_lines,
    differing,
    runs_before,
    show,
    swept,
    tell,
    values_of,
)
from hydra_plugins._parallel_launcher import _Report
from hydra_plugins._sweep_job import JobResult, SweepJob


def returned(*records):
    """What Hydra makes of a job with those records."""
    done = JobReturn()
    done.return_value, done.status = list(records) if len(records) > 1 else records[0], JobStatus.COMPLETED
    return done


def test_a_worker_keeps_lines_in_their_order(capsys):
    with collect_lines() as lines:
        assert collecting_lines()
        print("a", end="")
        print("b\n\nc")
        print("bar 1\rbar 2", file=sys.stderr)
        tell(Line("a run", ended=1))
        print("no end", end="")
    assert not collecting_lines()
    assert capsys.readouterr() == ("", "")
    assert lines == [
        Line("ab"),
        Line(""),
        Line("c"),
        Line("bar 1", error=True),
        Line("bar 2", error=True),
        Line("a run", ended=1),
        Line("no end"),
    ]


def test_lines_of_a_body_that_fails_are_kept_too():
    def planted():
        with collect_lines() as kept:
            lines.append(kept)
            print("before", end="")
            raise ZeroDivisionError("planted")

    lines = []
    with pytest.raises(ZeroDivisionError, match="planted"):
        planted()
    assert lines[0] == [Line("before")]
    assert not collecting_lines()


def test_a_launcher_counts_the_runs_that_end(capsys):
    """Jobs of 1, 3 and 2 runs, launched in two parts: the second part begins where the first has ended."""
    before = dict(os.environ)
    with Sweep([1, 3, 2, 1]).launching():
        first = _Report(runs_before(0))
        first.tell(JobResult(returned({}, {}, {}), [Line("y", ended=1), Line("said"), Line("z", error=True, ended=3)]))
        first.tell(JobResult(returned({}), [Line("x", ended=1)]))
        second = _Report(runs_before(2))
        second.tell(JobResult(returned({}, {}), []))  # of a bug: its traceback has no place
        second.tell(JobResult(returned({}), [Line("last\x1b", ended=1)]))
        assert os.environ == before
    tell(Line("alone", ended=1))
    out, err = (re.sub(r", +\d+ s left\]", "]", text) for text in capsys.readouterr())
    assert out == "[1/7]  y\nsaid\n[4/7]  x\n[7/7]  last\\x1b\nalone\n"
    assert err == "[3/7]  z\n"


def test_a_line_tells_a_run_from_the_others_of_its_sweep():
    """Two networks, and two choices of matrices, are not all `lora rank=4 seed=0`; nothing is said twice."""
    config = {"method": "lora", "rank": 4, "seed": 0, "subspace": {}, "space": {"rank": 4}}
    config["projection"] = {"_target_": "intrinsic.projections.identity.Identity"}
    runs = [
        values_of(["rank=4", f"+model.width={width}", "lr=0.1", f"space.targets=[{targets}]"])
        for width, targets in ((16, "a=b"), (16, "c"), (32, "c"))
    ]
    assert differing(runs) == ["model.width", "space.targets"]
    assert differing([*runs, {}]) == ["rank", "model.width", "lr", "space.targets"]
    assert knobs(config, runs[0]) == "lora rank=4 seed=0 model.width=16 lr=0.1 space.targets=[a=b]"
    assert knobs(config) == "lora rank=4 seed=0"
    with Sweep([1], swept=["lr"]).launching():
        assert swept() == SweepJob(None, None, None, 1, singletons={}).swept == ["lr"]
    assert swept() == ()


def test_the_time_that_is_left(monkeypatch, capsys):
    monkeypatch.setattr("time.monotonic", lambda: 130.0)
    with Sweep([1] * 12, began=100.0).launching():
        show(Line("x", ended=1), before=2)
    assert capsys.readouterr().out == "[ 3/12,   90 s left]  x\n"


def test_runs_that_ended_before_come_first_and_take_no_time(monkeypatch, capsys):
    monkeypatch.setattr("time.monotonic", lambda: 130.0)
    with Sweep([1, 2], skipped=9, began=100.0).launching():
        show(Line("x", ended=1), before=8)
        show(Line("y", ended=1), before=runs_before(1))
    assert capsys.readouterr().out == "[ 9/12]  x\n[11/12,   15 s left]  y\n"


def test_runs_of_jobs_that_had_ended_before_take_no_time(monkeypatch, capsys):
    """As a search finds them when it goes on: 30 s are of the one run that was trained."""
    monkeypatch.setattr("time.monotonic", lambda: 130.0)
    with Sweep([1] * 12, began=100.0).launching():
        for before in range(9):
            show(Line("x", ended=1, found=True), before=before)
        show(Line("y", ended=1), before=9)
    lines = capsys.readouterr().out.splitlines()
    assert lines[8:] == ["[ 9/12]  x", "[10/12,   60 s left]  y"]
