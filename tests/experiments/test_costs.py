"""What commands would take that nobody has run: measured in place, mistakes in one line."""

import json

import pytest

from experiments.costs import costs, main
from intrinsic.errors import UserError

ROW = {"name": "small", "overrides": ["method=lora", "rank=2", "threads=1", "epochs=3"], "runs": 4}


def write(path, *rows):
    path.write_text(json.dumps({"format": 1, "rows": list(rows)}))
    return path


def test_a_row_is_measured_and_the_others_stay(tmp_path, capsys):
    path = write(tmp_path / "costs.json", ROW, ROW | {"name": "other"})
    main([str(path), "small"])
    assert "small: " in capsys.readouterr().out
    first, other = json.loads(path.read_text())["rows"]
    assert other == ROW | {"name": "other"}
    measured = first.pop("measured")
    assert first == ROW
    assert measured["numbers"]["trained"] == 512
    assert (measured["steps"], measured["epochs"], measured["environment"]["device"]) == (17, 3, "cpu")
    assert measured["seconds"] > 0
    assert measured["bytes"]["total"] > measured["bytes"]["trained"] >= 4 * 512
    assert not list(tmp_path.rglob("record.json"))


@pytest.mark.parametrize(
    ("content", "names", "match"),
    [
        ("[]", (), "lists no costs: need"),
        ('{"format": 1, "rows": [{"name": 3}]}', (), "has a row that is none: need"),
        (json.dumps({"format": 1, "rows": [ROW | {"overrides": [3]}]}), (), "has a row that is none: need"),
        (json.dumps({"format": 1, "rows": [ROW]}), ("nothing",), "no row nothing in .*: it has small"),
    ],
)
def test_a_file_that_is_none(tmp_path, content, names, match):
    (tmp_path / "costs.json").write_text(content)
    with pytest.raises(UserError, match=match):
        costs(tmp_path / "costs.json", names)


def test_a_choice_that_is_not_there_is_one_line(tmp_path, capsys):
    path = write(tmp_path / "costs.json", ROW | {"overrides": ["method=nothing"]})
    with pytest.raises(SystemExit, match=r"^2$"):
        main([str(path)])
    assert len(capsys.readouterr().err.splitlines()) == 1
