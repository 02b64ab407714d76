"""A line on the terminal."""

import sys
from typing import IO, Any

from intrinsic.terminal.one_line import one_line

LONGEST = 2000  # characters: a rule with a value and a remedy, or a list of knobs


def say(line: object, file: IO[str] | Any = None) -> None:
    """Print a line at once, on standard output unless `file` says otherwise; whatever text it holds, one line."""
    print(one_line(line, LONGEST), file=file or sys.stdout, flush=True)
