"""A study as a folder for others to cite and compare: records, figures, report, a card for the Hub, PEFT's form.

python -m analysis.publish outputs/grid published/grid --licence cc-by-4.0     writes the folder, whole or not at all
python -m analysis.compare published/grid outputs/mine                         reads it like a study

Nothing in it says where the runs or their data lay. Trained weights and measurements are not in it.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

from analysis.figures.figure import CurvesResult
from analysis.page.every_figure import figure_functions
from analysis.page.html import html
from analysis.publication.card import card
from analysis.publication.peft_result import peft_result
from analysis.publication.public_record import public_record
from analysis.studies.by_task import OneTask, parts
from analysis.studies.records import every_once, load_records
from intrinsic.errors import UserError
from intrinsic.files.atomic import write_folder
from intrinsic.files.read_json import read_json
from intrinsic.files.records import NAME, Record
from intrinsic.terminal.command import command
from intrinsic.terminal.command_parser import command_parser
from intrinsic.terminal.say import say

LIST = "published.json"  # what is in the folder: with it, the folder may be replaced
OTHERS = ("trained.safetensors", "state.safetensors")  # files of a run that are no measurement


def publish(study: str | Path, folder: str | Path, *, licence: str | None = None) -> Path:
    """Write a folder about a study's runs; one of ours that is there is replaced.

    Args:
        study: a folder of runs.
        folder: to be made.
        licence: of the records and figures, by the Hub's identifier; None: none is said.

    Raises:
        UserError: as `load_records`, but for different tasks; for a folder that is there and has other things in it; if
            it can't be written.
    """
    study, folder = Path(study), Path(folder)
    if licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", licence):
        raise UserError(f"need --licence as an identifier of the Hub, such as cc-by-4.0, got {licence!r:.50}")
    runs = [Path(home).absolute() for home in every_once([study])[0]["folder"]]
    ours = _is_ours(folder)
    write_folder(
        folder, lambda written: _write(written, runs, licence), replace=ours, remedy="give the name of a new folder"
    )
    return folder


def _is_ours(folder: Path) -> bool:
    """Whether something is there, and all of it is what this program has written or is free to write again.

    Raises:
        UserError: if other things are there.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return folder.exists()
    refusal = f"{folder} is there, and not by analysis.publish alone"
    remedy = "give the name of a new folder"
    if not (folder / LIST).is_file():
        raise UserError(f"{refusal}: {remedy}")
    content = read_json(folder / LIST, remedy=remedy)
    known = content.get("files") if isinstance(content, dict) else None
    if not isinstance(known, dict):
        raise UserError(f"{refusal}: {LIST} lists no files; {remedy}")
    for path in _within(folder):
        name = path.relative_to(folder).as_posix()
        if name not in known and not name.startswith("figures/"):
            raise UserError(f"{refusal}: it has {name}; move that away, or {remedy}")
        if name == "README.md" and known[name] != _digest(path):
            raise UserError(f"{refusal}: its {name} was edited; move that away, or {remedy}")
    return True


def _write(written: Path, runs: list[Path], licence: str | None) -> None:
    written, links = written.absolute(), []
    for home in runs:
        content = public_record(home)
        place = written / home.name
        place.mkdir()
        _put(place / NAME, content)
        record = Record.of(content)
        if record.status == "finished":
            (written / "results").mkdir(exist_ok=True)
            _put(written / "results" / f"{home.name}.json", peft_result(record))
        for file in home.glob("*.safetensors"):
            if file.name not in OTHERS:  # a measurement: to draw, and not to publish
                links.append(place / file.name)
                links[-1].symlink_to(file)
    with chdir(written.parent):  # so that figures and page name the folder, and no place of this machine
        name = Path(written.name)
        tasks = parts([name])
        places = [f"figures/task-{number}" if len(tasks) > 1 else "figures" for number in range(1, len(tasks) + 1)]
        drawn = [_draw(part, written / place) for part, place in zip(tasks, places, strict=True)]
        frames = [load_records(part.studies, part.where)[0] for part in tasks]
        page = html([name], ())
        figures = sorted(path.relative_to(written) for path in (written / "figures").rglob("*.png"))
        text = card(written.name, list(zip(frames, drawn, strict=True)), figures, licence)
    for link in links:
        link.unlink()
    (written / "report.html").write_text(page, "utf-8", "backslashreplace")
    (written / "README.md").write_text(text, "utf-8", "backslashreplace")
    files = {path.relative_to(written).as_posix(): _digest(path) for path in _within(written)}
    _put(written / LIST, {"format": 1, "files": files | {LIST: None}})


def _draw(part: OneTask, folder: Path) -> CurvesResult | None:
    """Draw every figure that the runs of a task allow; returns the one that compares methods, if there is one."""
    found = None
    for name, function in figure_functions().items():
        try:
            drawn = function(*part.studies, out=folder, where=list(part.where))
        except UserError:
            continue  # no run for it: the report says what it would need
        if name == "compare" and isinstance(drawn, CurvesResult):
            found = drawn
    return found


def _within(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _put(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def main() -> None:
    """The command."""
    parser = command_parser("analysis.publish", __doc__)
    parser.add_argument("study", metavar="outputs/STUDY", help="a folder of runs")
    parser.add_argument("folder", metavar="FOLDER", help="to be made; one that this program made is replaced")
    parser.add_argument("--licence", metavar="ID", help="of the Hub's, such as cc-by-4.0 (default: none is said)")
    given = parser.parse_args()
    with command():
        say(publish(given.study, given.folder, licence=given.licence))
        for note in every_once([given.study])[1]:
            say(f"note: {note}", sys.stderr)


if __name__ == "__main__":
    main()
