"""Tables as Markdown."""

import html
import re
from collections.abc import Mapping, Sequence

from analysis.studies.plain import plain


def table(heads: Mapping[str, str], rows: Sequence[Sequence[str]]) -> str:
    """A table: `heads` with their alignment, `<` or `>`; cells are Markdown already."""
    marks = ["---:" if side == ">" else "---" for side in heads.values()]
    lines = [list(heads), marks, *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def inert(text: str) -> str:
    """A record's text as Markdown shows it: on one line, neither a tag nor a mark."""
    return re.sub(r"([\\`*_\[\]#!~])", r"\\\1", html.escape(plain(text), quote=False))


def span(values: Sequence[str]) -> str:
    """`0 to 2` of 0, 1, 2; `0, 2` of others; in the order given."""
    numbers = [int(value) for value in values] if all(value.isdigit() for value in values) else []
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(values)
