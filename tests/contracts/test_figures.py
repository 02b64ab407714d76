"""Figures: one contract for every function that the report finds in `analysis`."""

import inspect
import re
import sys

import pytest

from analysis.figures.command import HIDDEN, program
from analysis.page.every_figure import figure_functions
from intrinsic.errors import UserError
from tests.support.studies import add

FIGURES = figure_functions()
every_figure = pytest.mark.parametrize("name", FIGURES)


@every_figure
def test_its_help_explains_every_option(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        program(FIGURES[name], ["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith(f"usage: python -m analysis.{name} ")
    assert " ".join(inspect.getdoc(sys.modules[FIGURES[name].__module__]).split())[:60] in text
    parameters = inspect.signature(FIGURES[name]).parameters.values()
    own = {each.name for each in parameters if each.kind is not inspect.Parameter.VAR_POSITIONAL} - HIDDEN
    assert all(f"--{option.replace('_', '-')}" in text for option in own)


@every_figure
def test_it_draws_three_files_or_says_what_is_missing(name, tmp_path):
    for seed in (0, 1):
        for method, sizes in (("full", {}), ("lora", {"rank": 2}), ("lora", {"rank": 4}), ("subspace", {"dim": 30})):
            add(tmp_path / "study", method, seed=seed, **sizes)
    try:
        drawn = FIGURES[name](tmp_path / "study", out=tmp_path / "out")
    except UserError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert [path.name for path in drawn.paths] == [f"{name}.{suffix}" for suffix in ("png", "pdf", "csv")]
        assert all(path.read_bytes() for path in drawn.paths)
    assert not refusal or re.search("need |python ", refusal)
    assert len(refusal.splitlines()) <= 1
    assert bool(refusal) != (tmp_path / "out").exists()


@every_figure
def test_an_absent_study_is_one_line(name, tmp_path):
    with pytest.raises(UserError, match="absent") as caught:
        FIGURES[name](tmp_path / "absent")
    assert "\n" not in str(caught.value)
