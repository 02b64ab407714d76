"""The look of every figure, and its three files: PNG to see, PDF to print, CSV to compute with."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator
from PIL import Image

from analysis.figures.as_csv import as_csv
from analysis.figures.draw_levels import draw_levels
from analysis.figures.footer import footer
from analysis.figures.level import Level
from analysis.studies.plain import plain
from intrinsic.files.atomic import write_together

# Okabe & Ito 2008, in an order in which neighbours differ in lightness too; black is kept for horizontal lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "<", ">")  # one more than colours: the pairs repeat after 42 curves
LARGEST = 200_000  # bytes of a PNG in full colour
OUT = "choose another folder with --out"  # where a file cannot be written
LABEL = 80  # letters of a curve's name in a legend
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "pdf.fonttype": 42,  # text stays text
    "text.parse_math": False,  # names come from records: a $ in them is a $
    "savefig.dpi": 150,
}
_METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None}}  # same rows, same bytes
_formats = ContextVar("_formats", default=tuple(_METADATA))


@contextmanager
def for_a_page() -> Iterator[None]:
    """Figures within are saved without a PDF, which takes longer than the PNG: a page shows that alone."""
    before = _formats.set(("png",))
    try:
        yield
    finally:
        _formats.reset(before)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command has found, as it prints it."""

    table: pd.DataFrame  # few rows, headings in words, numbers as they are to be read
    more: tuple[pd.DataFrame, ...] = ()  # further tables of that form
    results: tuple[str, ...] = ()  # what was measured, a line each
    effort: tuple[str, ...] = ()  # what was spent on it, see `analysis.studies.efforts.effort_lines`
    notes: Sequence[str] = ()  # what a figure lacks or leaves out, and the command that mends it
    paths: tuple[Path, ...]  # PNG, PDF, CSV


@dataclass(frozen=True, kw_only=True)
class FigureResult(Outcome):
    """A figure, what it is made of, and where it lies."""

    rows: pd.DataFrame  # the CSV
    figure: Figure


@dataclass(frozen=True, kw_only=True)
class CurvesResult(FigureResult):
    """Curves of scores; `rows` has one row a run, also those not chosen, failed or diverged."""

    points: pd.DataFrame  # one row a point: curve, x, trained, finished, runs, mean, sd, setting, tried


def draw_curves(
    rows: pd.DataFrame,
    *,
    xlabel: str,
    ylabel: str,
    levels: Sequence[Level] = (),
    ticks: Sequence[int] = (),
    effort: Sequence[str] = (),
) -> Figure:
    """Draw one curve for each `curve` of the rows: seeds as points, their mean as a line, a cross for a diverged run.

    Args:
        rows: runs with curve, x, score, status, chosen (see `choose_settings`); x is on a log scale.
        xlabel: the label of the x axis.
        ylabel: the label of the y axis.
        levels: horizontal lines, labelled at the right margin.
        ticks: the ticks of x, then on a log2 scale; none: chosen from the range, log10.
        effort: lines at the foot.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xscale("log", base=2 if ticks else 10)
        handles = []
        for number, (curve, runs) in enumerate(rows.groupby("curve", sort=False)):
            look: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
            scored, label = runs[runs["chosen"] & runs["score"].notna()], plain(str(curve), LABEL)
            axes.plot(scored["x"].to_numpy(float), scored["score"], **look, ls="none", ms=4, mew=0, alpha=0.4)
            mean = scored.groupby("x")["score"].mean()
            handles += axes.plot(
                mean.index.to_numpy(float), mean, **look, lw=1.5, ms=6, mec="white", mew=0.8, label=label
            )
            if len(mean) == 1:
                handles[-1].set_linestyle("none")
            undecided = ~runs.groupby("x", dropna=False)["chosen"].transform("any")  # no setting finished there
            lost = runs[(runs["status"] == "diverged") & (runs["chosen"] | undecided) & runs["x"].notna()]
            axes.plot(
                lost["x"].to_numpy(float), np.full(len(lost), 0.03), "x", color=look["color"], ms=7, mew=1.8,
                transform=axes.get_xaxis_transform(), zorder=4,
            )  # fmt: skip
        if any(line.get_marker() == "x" and len(line.get_xdata()) for line in axes.lines):  # type: ignore[arg-type]
            handles.append(Line2D([], [], color="#555555", marker="x", ls="none", ms=7, mew=1.8, label="diverged"))
            axes.margins(y=0.12)  # room for the crosses below the lowest score
        _ticks(axes, rows["x"].dropna().to_numpy(float), ticks)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        longest = max(len(str(handle.get_label())) for handle in handles)
        columns = max(1, min(4, int(6.3 / (0.6 + 0.073 * longest))))  # inches: handle, gap and letters of 9 points
        figure.set_figheight(4.2 + 0.2 * max(0, -(-len(handles) // columns) - 3))  # a long legend costs no axes
        figure.legend(handles=handles, loc="outside upper center", ncols=columns, handletextpad=0.5, columnspacing=1.6)
        footer(figure, effort)
        draw_levels(figure, axes, levels)
    return figure


def save_figure(figure: Figure, rows: pd.DataFrame, name: str, out: Path) -> tuple[Path, ...]:
    """Write `out/name.png`, `.pdf` and `.csv`, all or none, and return their paths; see `for_a_page`.

    A PNG of more than 200 kB is written in 256 colours, about a third of the bytes.

    Raises:
        UserError: the folder cannot be made or written to.
    """
    contents: dict[str, bytes] = {}
    engine = figure.get_layout_engine()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands there
        for suffix in _formats.get():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, metadata=_METADATA[suffix])
            contents[suffix] = buffer.getvalue()
            figure.set_layout_engine("none")  # the PDF has the PNG's layout, whose search takes longer than drawing
    figure.set_layout_engine(engine)
    if len(contents["png"]) > LARGEST:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(contents["png"])).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
            buffer, format="png", optimize=True, dpi=(STYLE["savefig.dpi"], STYLE["savefig.dpi"])
        )
        contents["png"] = buffer.getvalue()
    contents["csv"] = as_csv(rows)
    paths = tuple(out / f"{name}.{suffix}" for suffix in contents)
    writers = [partial(_write, content) for content in contents.values()]
    write_together(dict(zip(paths, writers, strict=True)), remedy=OUT)
    return paths


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _ticks(axes: Axes, x: np.ndarray, ticks: Sequence[int]) -> None:
    """Place few, round ticks on the log axis and write them as plain numbers."""
    low, high = x.min(), x.max()
    room = max((high / low) ** 0.06, 1.08)
    axes.set_xlim(low / room, high * room)
    shown: list[float] = list(ticks)
    if not ticks:
        decades = np.log10(high / low)
        steps = (1,) if decades > 3.5 else (1, 3) if decades > 1.3 else (1, 2, 5) if decades > 0.5 else range(1, 10)
        shown = [x for x in LogLocator(subs=tuple(steps), numticks=99).tick_values(low, high) if low <= x <= high]
    axes.xaxis.set_major_locator(FixedLocator(shown or sorted({low, high})))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_number))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _number(value: float, _: int | None = None) -> str:
    """Write 3000 as 3000, 30000 as 30k and 2000000 as 2M."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor and (value >= 1e4 or unit != "k"):
            return f"{value / factor:g}{unit}"
    return f"{value:g}"
