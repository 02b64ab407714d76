"""A study in a small form, to be committed beside the page that shows it: one JSON file, no weights.

python -m analysis.commit_results outputs/ranks -o docs/results/ranks.json --command "python run.py -m rank=1,2,4 ..."
python -m analysis.commit_results --unpack docs/results/ranks.json outputs/ranks     the records again, for any figure
python -m analysis.results_page                                                      the pages that are made from them

A file that is there is replaced; without --command and --note it keeps those that it has.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from analysis.page.every_figure import figure_functions
from analysis.results.small_study import DIGITS, Rows, pack, read_small_study, unpack, write_small_study
from analysis.studies.records import every_once
from intrinsic.errors import UserError
from intrinsic.terminal.command import command
from intrinsic.terminal.command_parser import command_parser
from intrinsic.terminal.say import say


def commit_results(
    studies: Sequence[str | Path],
    out: str | Path,
    *,
    commands: Sequence[str] = (),
    note: str | None = None,
    figures: Sequence[str] = (),
) -> Path:
    """Write the runs of studies as one small file, and return its path.

    Args:
        studies: folders of runs, put together.
        out: the file, such as docs/results/NAME.json.
        commands: what made the runs, as typed; none: those of the file that is there.
        note: what else a reader must know; None: that of the file that is there.
        figures: whose rows go into the file, of measurements beside the records, such as latency.

    Raises:
        UserError: as `analysis.studies.records.every_once` and the figures; for no command; if it can't be written.
    """
    path = Path(out)
    before: dict[str, Any] = read_small_study(path) if path.is_file() else {"commands": [], "note": ""}
    said = list(commands) or before["commands"]
    if not said:
        raise UserError('need the commands that made the runs: --command "python run.py ..."')
    measured = {name: _rows(name, studies) for name in figures}
    write_small_study(path, pack(studies, said, before["note"] if note is None else note, measured))
    return path


def _rows(name: str, studies: Sequence[str | Path]) -> Rows:
    """The rows of a figure."""
    known = figure_functions()
    if name not in known:
        raise UserError(f"no figure {name}: there are {', '.join(known)}")
    with TemporaryDirectory() as folder:
        rows = known[name](*studies, out=folder).rows
    return list(json.loads(rows.to_json(orient="records", double_precision=DIGITS)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a command."""
    parser = command_parser("analysis.commit_results", __doc__)
    parser.add_argument("studies", nargs="+", metavar="outputs/STUDY", help="folders of runs; with --unpack one, new")
    parser.add_argument("-o", "--out", metavar="FILE", help="the file to write, docs/results/NAME.json")
    parser.add_argument("--command", action="append", default=[], metavar="TEXT", help="what made the runs; repeatable")
    parser.add_argument("--note", metavar="TEXT", help="what else a reader must know")
    parser.add_argument(
        "--figure", action="append", default=[], metavar="NAME", help="keep its rows, of measurements; repeatable"
    )
    parser.add_argument("--unpack", metavar="FILE", help="write the runs of such a file as a study")
    with command():
        given = parser.parse_args(arguments)
        if (given.unpack is None) == (given.out is None):
            raise UserError("need --out FILE, to write a study in the small form, or --unpack FILE, to read one")
        if given.unpack is None:
            kept = commit_results(
                given.studies, given.out, commands=given.command, note=given.note, figures=given.figure
            )
            say(kept)
            for note in every_once(given.studies)[1]:
                say(f"note: {note}", sys.stderr)
            return
        if len(given.studies) > 1 or Path(given.studies[0]).exists():
            raise UserError(f"need one new folder with --unpack, got {' '.join(given.studies)}")
        say(unpack(read_small_study(Path(given.unpack)), Path(given.studies[0])))


if __name__ == "__main__":
    main()
