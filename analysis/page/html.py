"""The page about studies, as HTML that needs no network and no other file."""

import base64
import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.figures.command import cell
from analysis.figures.figure import CurvesResult
from analysis.page.every_figure import PageFigure, figures_of
from analysis.page.findings import Thresholds, best, thresholds
from analysis.page.interactive import interactive
from analysis.page.protocol import Line, protocol, question
from analysis.studies.by_task import OneTask, parts
from analysis.studies.efforts import effort_warnings, efforts
from analysis.studies.records import load_records
from analysis.studies.run_table import runs_of

IMAGES = 2_700_000  # bytes of all figures; a third more as text, beside a megabyte of BokehJS, is below 5 MB
LINKED = 60_000  # bytes of a CSV that is small enough to lie in the page
DPI = 150  # of the figures' PNG files; a page has 96 pixels an inch


def html(studies: Sequence[str | Path], where: Sequence[str], metric: str | None = None) -> str:
    """The page: a section for each task.

    Args:
        studies: folders of runs, at least one.
        where: `key=value` filters on the config.
        metric: see `analysis.studies.records.load_records`.

    Raises:
        UserError: as `analysis.studies.records.load_records`, but for different tasks.
    """
    room = IMAGES
    sections = []
    for number, part in enumerate(parts(studies, where)):
        sections.append(_section(part, where, metric, number, room))
        room -= sum(len(figure["png"]) * 3 // 4 for figure in sections[-1]["figures"])
    return _page(sections, [Path(study).resolve().name for study in studies])


def _section(part: OneTask, where: Sequence[str], metric: str | None, number: int, room: int) -> dict[str, Any]:
    """What the template shows of one task."""
    conditions = [*where, *part.where]
    frame, notes = load_records(part.studies, conditions, metric=metric)
    shown, missing = figures_of(part.studies, conditions, metric)
    drawn = next((figure.drawn for figure in shown if figure.name == "compare"), None)
    assert drawn is None or isinstance(drawn, CurvesResult)
    effort: list[Line] = []
    section: dict[str, Any] = {"id": f"task-{number}", "plot": None, "curves": [], "best": None, "thresholds": None}
    if drawn is not None:
        label = {"xlabel": "trainable parameters", "ylabel": f"test {drawn.rows['metric'].max()}"}
        section["plot"], section["curves"] = interactive(drawn.rows, **label, target=f"plot-{number}")
        section["best"] = _table(best(drawn))
        spent = efforts(drawn.rows[drawn.rows["run_id"].isin(frame["run_id"])], frame)
        effort = [("Effort", [*map(str, spent), *effort_warnings(spent)])]
        section["thresholds"] = thresholds(frame, " ".join(map(str, part.studies)))
    figures = []
    for figure in shown:
        if len(figure.png) > room:
            missing[figure.name] = f"the page would pass 5 MB; `{figure.command}` draws it"
            continue
        room -= len(figure.png)
        figures.append(_figure(figure, notes))
    return section | {
        "names": [study.resolve().name for study in part.studies],
        "where": part.where,
        "question": question(frame),
        "protocol": [*protocol(frame), *effort],
        "figures": figures,
        "missing": missing,
        "notes": notes,
        "runs": runs_of(frame),
    }


def _figure(shown: PageFigure, said: Sequence[str]) -> dict[str, Any]:
    """A figure as its template needs it: the image and, where it is small, the CSV are text in base64."""
    width, height = struct.unpack(">II", shown.png[16:24])
    return {
        "name": shown.name,
        "title": shown.name.replace("_", " ").capitalize(),
        "says": shown.says,
        "command": shown.command,
        "results": shown.drawn.results,
        "notes": [note for note in shown.drawn.notes if note not in said],
        "table": _table(shown.drawn.table),
        "width": round(width * 96 / DPI),
        "height": round(height * 96 / DPI),
        "png": base64.b64encode(shown.png).decode(),
        "csv": base64.b64encode(shown.csv).decode() if len(shown.csv) <= LINKED else None,
    }


def _table(frame: pd.DataFrame) -> dict[str, Any]:
    """Headings, and cells as they are read."""
    numeric = [pd.api.types.is_numeric_dtype(column) for _, column in frame.items()]
    return {
        "columns": list(frame),
        "numeric": numeric,
        "rows": [list(map(cell, row)) for row in frame.itertuples(index=False)],
    }


def _page(sections: list[dict[str, Any]], names: list[str]) -> str:
    """Fill the template; only its own scripts, known by their hashes, may run in the page, and nothing is loaded."""
    from bokeh.resources import Resources
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = Path(__file__).parent
    scripts = ["\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)] if any(
        section["plot"] for section in sections
    ) else []  # fmt: skip
    scripts.append((folder / "report.js").read_text(encoding="utf-8"))
    scripts = [script.replace("\r\n", "\n") for script in scripts]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {}  # in order: BokehJS refers to what stands before
    return environment.get_template("report.html.j2").render(
        sections=sections,
        title=", ".join(dict.fromkeys(names)),
        style=Markup((folder / "report.css").read_text(encoding="utf-8")),  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704
        hashes=hashes,
        empty=Thresholds(),
    )
