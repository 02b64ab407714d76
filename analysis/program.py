"""Make a command of a figure's function: arguments from its signature, a printed table, mistakes in one line."""

import argparse
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from analysis.figure import Drawn
from analysis.records import SPLITS
from intrinsic.errors import UserError

REPEATABLE: dict[str, Any] = {"metavar": "KEY", "action": "extend", "nargs": 1}
# what some figures can be asked for beyond what all can
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "fraction": ("the fraction of the baseline that counts", {"type": float}),
    "axis": ("the size: an integer knob of the runs, such as dim or rank, or trained: the count of numbers", {}),
    "chance": ("the score of guessing, above which the fraction is taken", {"type": float}),
    "estimator": ("how the crossing is found", {"choices": ("auto", "isotonic", "logistic", "first_crossing")}),
    "estimand": ("where the mean crosses, or where half of the seeds succeed", {"choices": ("mean", "success")}),
    "confidence": ("of the interval", {"type": float}),
    "across": ("draw tasks that differ in this key of their config, e.g. model.width; repeatable", REPEATABLE),
}


def program(function: Callable[..., Drawn], arguments: Sequence[str] | None = None) -> None:
    """Run a figure's function as a command: arguments from its signature, a `UserError` as one line and status 2."""
    default = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    module = sys.modules[function.__module__]
    parser = argparse.ArgumentParser(
        prog=f"python -m analysis.{function.__name__}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def option(name: str, said: str, **kinds: Any) -> None:
        start = list(default[name]) if isinstance(default[name], tuple) else default[name]
        parser.add_argument(f"--{name}", default=start, help=said, **kinds)

    parser.add_argument("studies", nargs="+", metavar="outputs/STUDY", help="folders of runs; drawn as one study")
    option("out", "folder of the PNG, PDF and CSV (default: figures/ in the first study)", metavar="FOLDER")
    said = "what is drawn; choices use validation, those of train use train (default: %(default)s)"
    option("split", said, choices=SPLITS)
    option("epoch", "best: each run's best on validation data (default: %(default)s)", choices=("last", "best"))
    said = "only runs whose config has it, e.g. dataset.rotate=90; repeatable; null: also runs without the key"
    option("where", said, metavar="KEY=VALUE", action="extend", nargs=1)
    for name, (said, kinds) in OPTIONS.items():
        if name in default:
            option(name, said if kinds is REPEATABLE else f"{said} (default: %(default)s)", **kinds)
    options = vars(parser.parse_args(arguments))
    try:
        report(function(*options.pop("studies"), **options))
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None


def report(drawn: Drawn) -> None:
    """Print the points, what was measured, the runs without a score, the notes and the paths."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for heading in dict.fromkeys(("curve", drawn.x, "trained", "runs", "mean", "sd", "setting")):
        table.add_column(heading, justify="left" if heading in {"curve", "setting"} else "right", overflow="fold")
    for point in drawn.points.itertuples():
        cells = {
            "curve": point.curve,
            drawn.x: "" if pd.isna(point.x) else f"{point.x:,}",
            "trained": "" if pd.isna(point.trained) else f"{point.trained:,}",
            "runs": str(point.runs) if point.finished == point.runs else f"{point.finished} of {point.runs}",
            "mean": "" if pd.isna(point.mean) else f"{point.mean:.4f}",
            "sd": "" if pd.isna(point.sd) else f"{point.sd:.4f}",
            "setting": point.setting + (f" (best of {point.tried})" if point.tried > 1 else ""),
        }
        table.add_row(*cells.values())
    lines = list(drawn.results)
    for run in drawn.rows[drawn.rows["status"] != "finished"].itertuples():
        swept = " ".join(f"{name}={getattr(run, name)}" for name in ("rank", "dim") if pd.notna(getattr(run, name)))
        lines.append(f"{run.status} {run.run_id}: {run.curve} {swept} {run.setting} seed={run.seed}: {run.error}")
    lines += [f"note: {note}" for note in drawn.notes]
    here = Path.cwd()
    lines += [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in drawn.paths]
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
    console.print(table)
    for line in lines:
        console.print(line, soft_wrap=True)
