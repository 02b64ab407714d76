"""The table at the end of a sweep."""

import re

from experiments.terminal.table import print_table
from intrinsic.files.records import Record


def record(seconds, **changes):
    scores = {"validation": {"accuracy": 0.5}, "test": {"accuracy": 0.25}}
    base = {"status": "finished", "metric": "accuracy", "last": scores, "numbers": {"trained": 1234}}
    return Record(**{**base, "seconds": seconds, "config": {}, **changes})


def test_what_was_swept_and_what_came_out(capsys):
    """Values stand as they were typed, also those that look like markup."""
    overrides = [{"space.targets": "[hidden.0]", "seed": "1"}, {"space.targets": "[/a1]", "seed": "1"}]
    failed = Record(status="error", error="targets='[/a1]' matches no Linear", config={})
    print_table(overrides, [record(1.25), failed])
    heading, first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    assert " ".join(heading) == "space.targets trainable parameters validation accuracy test accuracy seconds status"
    assert first == ["[hidden.0]", "1,234", "0.5000", "0.2500", "1.2", "finished"]
    assert second[:5] == ["[/a1]", "-", "-", "-", "-"]
    assert " ".join(second[5:]) == "error: targets='[/a1]' matches no Linear"


def test_a_file_has_no_margin(capsys):
    """A remedy stands last in its line, behind a path of any length."""
    error = f"the job died, see /{'a' * 150}/0_log.err"
    print_table([{"seed": "0"}, {"seed": "1"}], [record(1.0), Record(status="error", error=error, config={})])
    assert capsys.readouterr().out.splitlines()[-1].endswith(error)


def test_a_narrow_terminal_hides_no_value(monkeypatch, capsys):
    """Headings are folded, an error is told in several lines."""
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "40")
    overrides = [{"rank": "1", "seed": "0"}, {"rank": "2", "seed": "1"}]
    failed = Record(status="error", error="need rank <= 64, got rank=100: lower it", config={})
    print_table(overrides, [record(1.25), failed])
    said = re.sub(r"\x1b\[\d+m", "", capsys.readouterr().out)
    lines = [line.split() for line in said.splitlines()]
    assert ["1", "0", "1,234", "0.5000", "0.2500", "1.2", "finished"] in lines
    assert "…" not in said
    assert " ".join(said.partition("error:")[2].split()) == "need rank <= 64, got rank=100: lower it"
