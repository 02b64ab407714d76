"""The pages of results, made from committed records: docs/results/NAME.md.j2 becomes docs/NAME.md."""

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.exceptions import TemplateError

from analysis.results import language_tables, leaderboard, published_tables, rank_tables
from analysis.results.claims_table import claims_table
from analysis.results.committed import Committed
from analysis.results.costs_file import CostsFile
from intrinsic.errors import UserError

RECORDS = Path("docs") / "results"
FIGURES = Path("docs") / "figures" / "results"
ROWS = "rows.json"  # beside the figures: of each the hash of the rows that it shows, whose bits no machine changes
WARNING = "<!-- made by `python -m analysis.results_page` from {}: edit that, or the records, and make it again -->\n\n"


def pages(root: Path) -> dict[Path, bytes]:
    """Every page and figure, by its path in the repository.

    Args:
        root: of the repository.

    Raises:
        UserError: as `Committed` and `CostsFile`; for a template that asks for what is not there.
    """
    made: dict[Path, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        digests: dict[str, str] = {}
        parts = _parts(root, Path(folder), made, digests)
        # without escaping: Markdown, of templates and records of our own
        loader = FileSystemLoader(root / RECORDS)
        environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
        environment.globals.update(parts)
        for template in sorted((root / RECORDS).glob("*.md.j2")):
            try:
                text = environment.get_template(template.name).render()
            except TemplateError as error:
                raise UserError(f"{template}: {error}; see docs/guides/results.md") from None
            page = Path("docs") / template.name.removesuffix(".j2")
            made[page] = (WARNING.format(f"results/{template.name}") + text).encode()
        made[FIGURES / ROWS] = (json.dumps(digests, indent=1, sort_keys=True) + "\n").encode()
    return made


def _parts(root: Path, home: Path, made: dict[Path, bytes], digests: dict[str, str]) -> dict[str, Any]:
    """What templates may call; figures go into `made`, and hashes of their rows into `digests`."""

    @cache
    def study(name: str) -> Committed:
        return Committed(root / RECORDS / f"{name}.json", home)

    @cache
    def costs() -> CostsFile:
        return CostsFile(root / RECORDS / "costs.json")

    def figure(name: str, says: str, command: str, file: str = "", **options: Any) -> str:
        text = study(name).figure(says, command, file, **options)
        made.update({FIGURES / each: png for each, (png, _) in study(name).drawn.items()})
        digests.update({each: digest for each, (_, digest) in study(name).drawn.items()})
        return text

    def of(function: Callable[..., str]) -> Callable[..., str]:
        return lambda name, *arguments, **options: function(study(name), *arguments, **options)

    return {
        "study": study,
        "costs": costs,
        "figure": figure,
        "published_table": lambda *names: published_tables.published_table([study(n) for n in names], costs().hours),
        "curve_table": of(published_tables.curve_table),
        "grid_table": of(published_tables.grid_table),
        "threshold_table": of(language_tables.threshold_table),
        "method_table": of(language_tables.method_table),
        "rank_table": of(rank_tables.rank_table),
        "budget_table": of(rank_tables.budget_table),
        "published_ranks": language_tables.published_ranks,
        "published_matrices": language_tables.published_matrices,
        "published_dims": language_tables.published_dims,
        "claims_table": lambda **names: claims_table(study, costs(), **names),
        "leaderboard": of(leaderboard.leaderboard),
        "own_sizes": of(leaderboard.own_sizes),
        "rates": of(leaderboard.rates),
    }
