"""One page to read in a browser: question, protocol, results, every figure the records allow, and all runs.

python run.py -m rank=1,2,4,8 seed=0,1,2 study=grid        makes runs
python run.py -m method=full,head seed=0,1,2 study=grid    makes the baselines
python -m analysis.report outputs/grid -o report.html      writes the page

The page needs no network and no other file.
"""

from collections.abc import Sequence
from pathlib import Path

from analysis.figures.command import program
from analysis.figures.figure import OUT
from analysis.page.html import html
from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically


def report(
    *studies: str | Path, out: str | Path | None = None, where: Sequence[str] = (), metric: str | None = None
) -> Path:
    """Write a self-contained HTML page about the studies, a section for each task, and return its path.

    Args:
        studies: folders of runs.
        out: the page; None: `report.html` in the first study.
        where: `key=value` filters on the config.
        metric: see `analysis.studies.records.load_records`.

    Raises:
        UserError: as `analysis.studies.records.load_records`, but for different tasks; if the page can't be written.
    """
    if not studies:
        raise UserError("need at least one study, got none; pass a folder such as outputs/demo")
    target = Path(studies[0]) / "report.html" if out is None else Path(out)
    if target.is_dir():
        raise UserError(f"need --out to be a file, got the folder {target}; choose {target / 'report.html'}")
    page = html(studies, where, metric)
    write_atomically(target, lambda path: path.write_text(page, "utf-8", "backslashreplace"), remedy=OUT)
    return target


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a command."""
    program(
        report,
        arguments,
        studies="folders of runs; a section for each task",
        options={"out": ("the page (default: report.html in the first study)", {"metavar": "FILE"})},
        letters={"out": "-o"},
    )


if __name__ == "__main__":
    main()
