"""Every figure that a study's records allow, found by its form: a module of `analysis` with a function of its name."""

import importlib
import inspect
import pkgutil
import shlex
import tempfile
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import analysis
from analysis.figures.figure import CurvesResult, FigureResult, for_a_page
from intrinsic.errors import UserError

DRAWS = "Draw "  # what the first lines of their docstrings begin with


@dataclass(frozen=True)
class PageFigure:
    """A figure with its files' contents."""

    name: str
    says: str  # what it shows, in a sentence
    command: str  # that makes it alone
    drawn: FigureResult
    png: bytes
    csv: bytes


def figure_functions() -> dict[str, Callable[..., FigureResult]]:
    """The functions `name(*studies, ...) -> FigureResult` of modules `analysis.name`; curves of scores come first."""
    found: dict[str, tuple[bool, Callable[..., FigureResult]]] = {}
    for module in pkgutil.iter_modules(analysis.__path__, "analysis."):
        name = module.name.rpartition(".")[2]
        function = getattr(importlib.import_module(module.name), name, None)
        if not inspect.isfunction(function):
            continue
        gives = typing.get_type_hints(function).get("return")
        kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
        if isinstance(gives, type) and issubclass(gives, FigureResult) and inspect.Parameter.VAR_POSITIONAL in kinds:
            found[name] = (not issubclass(gives, CurvesResult), function)
    return {name: function for name, (_, function) in sorted(found.items(), key=lambda item: (item[1][0], item[0]))}


def figures_of(
    studies: Sequence[Path], where: Sequence[str], metric: str | None = None
) -> tuple[list[PageFigure], dict[str, str]]:
    """Draw every figure that these runs allow; nothing is written into the studies.

    Args:
        studies: folders of runs of one task.
        where: `key=value` filters on the config.
        metric: see `analysis.studies.records.load_records`; for figures of scores.

    Returns:
        The figures; and for each name of the others why there is none, with what mends it.
    """
    shown: list[PageFigure] = []
    missing: dict[str, str] = {}
    for name, function in figure_functions().items():
        chosen = {"metric": metric} if metric and "metric" in inspect.signature(function).parameters else {}
        with tempfile.TemporaryDirectory() as folder, for_a_page():
            try:
                drawn = function(*studies, out=folder, where=list(where), **chosen)
            except UserError as error:
                missing[name] = str(error)
                continue
            files: dict[str, Any] = {path.suffix: path.read_bytes() for path in drawn.paths}
        command = shlex.join(["python", "-m", f"analysis.{name}", *map(str, studies)])
        command += "".join(f" --where {shlex.quote(condition)}" for condition in where)
        command += "".join(f" --{key} {shlex.quote(value)}" for key, value in chosen.items())
        shown.append(PageFigure(name, _says(function), command, drawn, files[".png"], files[".csv"]))
    return shown, missing


def _says(function: Callable[..., FigureResult]) -> str:
    """The first paragraph of the module's docstring, as a statement: 'Draw the score ...' becomes 'The score ...'."""
    said = " ".join((inspect.getdoc(inspect.getmodule(function)) or function.__name__).partition("\n\n")[0].split())
    said = said.removeprefix(DRAWS)
    return said[:1].upper() + said[1:].rstrip(".") + ("" if said.endswith("?") else ".")
