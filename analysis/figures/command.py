"""The command of a figure's function: arguments from its signature, a printed table, mistakes in one line."""

import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from analysis.figures.figure import Outcome
from analysis.studies.records import SPLITS
from intrinsic.terminal.command import command
from intrinsic.terminal.command_parser import options_of, study_parser
from intrinsic.terminal.one_line import one_line
from intrinsic.terminal.say import LONGEST, say

Option = tuple[str, dict[str, Any]]  # what the help says of it, and what else argparse must know
REPEATABLE: dict[str, Any] = {"metavar": "KEY", "action": "extend", "nargs": 1}
# what several figures can be asked for; an option of one figure is described by its docstring and its annotation
OPTIONS: dict[str, Option] = {
    "out": ("folder of the PNG, PDF and CSV (default: figures/ in the first study)", {"metavar": "FOLDER"}),
    "split": ("what is drawn; choices use validation, those of train use train", {"choices": SPLITS}),
    "metric": (
        "the one of a task's metrics, such as f1 (default: the one that each run chose by)",
        {"metavar": "NAME"},
    ),
    "epoch": ("best: each run's best on validation data", {"choices": ("last", "best")}),
    "where": (
        "only runs whose config has it, e.g. dataset.rotate=90; repeatable; null: also runs without the key",
        REPEATABLE | {"metavar": "KEY=VALUE"},
    ),
    "fraction": ("the fraction of the baseline that counts", {"type": float}),
    "axis": (
        "the size: an integer knob of the runs, such as dim or rank, or trained: the count of trainable parameters",
        {},
    ),
    "floor": (
        "the score above which the fraction is taken: none, chance (of a constant answer), start (before training), or "
        "a number",
        {"metavar": "FLOOR"},
    ),
    "chance": ("a floor by its older name, as a number", {"type": float}),
    "estimator": ("how the crossing is found", {"choices": ("auto", "isotonic", "logistic", "first_crossing")}),
    "estimand": ("where the mean crosses, or where half of the seeds succeed", {"choices": ("mean", "success")}),
    "confidence": ("of the interval", {"type": float}),
    "across": (
        "draw tasks that differ in this key of their config, or in a node of it, e.g. model.width or model; repeatable",
        REPEATABLE,
    ),
    "baseline": (
        "one target for all curves: that of full training whose config has it, e.g. model.width=200; repeatable",
        REPEATABLE | {"metavar": "KEY=VALUE"},
    ),
}
HIDDEN = {"runs", "name", "setting"}  # for callers in Python


def program(
    function: Callable[..., Outcome | Path],
    arguments: Sequence[str] | None = None,
    *,
    studies: str = "folders of runs; drawn as one study",
    options: Mapping[str, Option] = {},
    letters: Mapping[str, str] = {},
) -> None:
    """Run a figure's function as a command: arguments from its signature, a `UserError` as one line and status 2.

    Args:
        function: what it returns is printed.
        arguments: None: those of the command line.
        studies: what the help says of the studies.
        options: where this command's differ from `OPTIONS`.
        letters: short forms of options.
    """
    parser = study_parser(function, "analysis", studies)
    for option, parameter in options_of(function):
        name = parameter.name
        if name in HIDDEN:
            continue
        said, kinds = {**OPTIONS, **options}.get(name) or (_said(function, name), _kinds(parameter))
        start = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        said += "" if start is None or start == [] else f" (default: {start})".replace("%", "%%")
        short = [letters[name]] if name in letters else []
        parser.add_argument(*short, option, default=start, help=said, **kinds)
    with command():
        given = vars(parser.parse_args(arguments))
        done = function(*given.pop("studies"), **given)
        if isinstance(done, Path):
            say(done)
        else:
            print_outcome(done)


def _kinds(parameter: inspect.Parameter) -> dict[str, Any]:
    """What argparse must know of an option: from `float`, `int | None`, `Literal["a", "b"]` or `Sequence[int]`."""
    kinds = [kind for kind in get_args(parameter.annotation) if kind is not type(None)] or [parameter.annotation]
    if get_origin(parameter.annotation) is Literal:
        return {"choices": kinds}
    several = {"nargs": "+"} if get_origin(parameter.annotation) is Sequence else {}
    return {"type": kinds[0], **several}


def _said(function: Callable[..., Any], name: str) -> str:
    """What the docstring says of an argument."""
    found = re.search(rf"^ +{name}: (.*?)(?=^ +\w+: |^\s*$|\Z)", function.__doc__ or "", re.MULTILINE | re.DOTALL)
    if found is None:  # python -OO
        return ""
    return " ".join(found[1].split()).rstrip(".").replace("%", "%%")


def print_outcome(drawn: Outcome) -> None:
    """Print the tables, what was spent and measured, the notes and the paths."""
    lines = [*drawn.effort, *drawn.results, *(f"note: {note}" for note in drawn.notes)]
    here = Path.cwd()
    lines += [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in drawn.paths]
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
    for table in (drawn.table, *drawn.more):
        console.print(_table(table))
    for line in lines:
        console.print(one_line(line, LONGEST), soft_wrap=True)


def _table(content: pd.DataFrame) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for heading, column in content.items():
        words = not pd.api.types.is_numeric_dtype(column) and heading != "runs"
        table.add_column(str(heading), justify="left" if words else "right", overflow="fold")
    for row in content.itertuples(index=False):
        table.add_row(*map(cell, row))
    return table


def cell(value: Any) -> str:
    """Write a value for a reader: 12,345, 0.1234, nothing for what is missing."""
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}"
    return one_line(value) if isinstance(value, str) else f"{value:,}"
