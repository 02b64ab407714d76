"""The pages of results, made from the records that are committed: no number in their tables is typed.

python -m analysis.results_page              writes docs/RESULTS.md, docs/LEADERBOARD.md and their figures
python -m analysis.results_page --check      writes nothing; fails if a page is not what the records make

Records: docs/results/*.json, by `analysis.commit_results`; text: docs/results/*.md.j2.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from analysis.results.pages import FIGURES, pages
from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically
from intrinsic.terminal.command import command
from intrinsic.terminal.command_parser import command_parser
from intrinsic.terminal.say import say

ROOT = Path(__file__).resolve().parents[1]


def results_page(root: Path = ROOT, *, check: bool = False) -> list[Path]:
    """Make the pages, and return the paths that changed, or would; a figure that no page shows is removed.

    A check compares figures by the rows that they show: their bits depend on the machine's fonts.

    Args:
        root: of the repository.
        check: write nothing.

    Raises:
        UserError: as `analysis.results.pages.pages`; with `check`, for a page that differs.
    """
    made = pages(root)
    stale = [path for path in (root / FIGURES).glob("*.png") if path.relative_to(root) not in made]
    changed = [path for path, content in made.items() if _differs(root / path, content, check)]
    if check:
        if changed or stale:
            names = ", ".join(map(str, [*changed, *(path.relative_to(root) for path in stale)]))
            raise UserError(f"not what the records make: {names}; make docs, or python -m analysis.results_page")
        return []
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(root / path, partial(_write, made[path]))
    for path in stale:
        path.unlink()
    return changed


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _differs(path: Path, content: bytes, check: bool) -> bool:
    if not path.is_file():
        return True
    return not (check and path.suffix == ".png") and path.read_bytes() != content


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a command."""
    parser = command_parser("analysis.results_page", __doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a page differs")
    with command():
        given = parser.parse_args(arguments)
        for path in results_page(check=given.check):
            say(path)


if __name__ == "__main__":
    main()
