"""Progress and time left: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Generator, Sequence
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn, track
from rich.progress import Progress as Bar

from experiments.terminal.sweep import collecting_lines
from intrinsic.terminal.say import say
from intrinsic.training.epoch import Epoch

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Show epochs as they end, on standard error; in a worker among others, show nothing.

    Args:
        epochs: how many there will be at most.
        metric: the name of the score to show.
    """

    def __init__(self, epochs: int, metric: str) -> None:
        self._epochs, self._metric = epochs, metric
        self._bar: Bar | None = None
        self._quiet = collecting_lines()
        if sys.stderr.isatty() and not self._quiet:
            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("epoch", total=epochs)
        self._said = time.monotonic()
        self._seconds = 0.0
        self._seen = 0

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, epoch: Epoch) -> None:
        """Tell of an epoch that ended."""
        score = f"validation {self._metric} {epoch.validation[self._metric]:.4f}"
        if self._bar is not None:
            self._bar.update(self._task, completed=epoch.epoch, description=score)
            return
        self._seconds, self._seen = self._seconds + epoch.seconds, self._seen + 1
        now = time.monotonic()
        if not self._quiet and now - self._said > SECONDS_BETWEEN_LINES and epoch.epoch < self._epochs:
            self._said = now
            left = self._seconds / self._seen * (self._epochs - epoch.epoch)
            line = f"epoch {epoch.epoch}/{self._epochs}  train loss {epoch.train_loss:.4f}  {score}  {left:.0f} s left"
            say(line, sys.stderr)


def tracked(items: Sequence[T], what: str) -> Generator[T, None, None]:
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
