"""Progress through long work of known length, on standard error: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from experiments.progress import SECONDS_BETWEEN_LINES
from intrinsic.say import say

T = TypeVar("T")


def tracked(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, one at a time."""
    if sys.stderr.isatty():
        yield from track(items, what, console=Console(stderr=True), transient=True)
        return
    began = said = time.monotonic()
    for number, item in enumerate(items):
        now = time.monotonic()
        if number and now - said > SECONDS_BETWEEN_LINES:
            said, left = now, (now - began) / number * (len(items) - number)
            say(f"{what} {number}/{len(items)}  {left:.0f} s left", sys.stderr)
        yield item
