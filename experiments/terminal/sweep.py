"""A sweep as its jobs know it: where a run that ended stands in it, and who prints the line about it."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from contextvars import ContextVar
from dataclasses import dataclass, field
from io import TextIOBase

from hydra.core.hydra_config import HydraConfig

from intrinsic.terminal.say import say


@dataclass(frozen=True)
class Line:
    """A line that a job has for the terminal.

    Args:
        text: without the run's place in the sweep.
        error: whether it is for standard error.
        ended: how many of the job's runs have ended, in a line about the last of them; 0 in others.
        found: whether that one had ended before, and took no time.
    """

    text: str
    error: bool = False
    ended: int = 0
    found: bool = False


@dataclass
class Sweep:
    """The runs of a sweep, known where its jobs are launched.

    Args:
        sizes: how many runs each job has.
        skipped: how many runs had ended before, and are no job's.
        found: how many runs of jobs had, so far.
        began: in seconds of `time.monotonic`.
        swept: the keys whose values differ between its runs.
    """

    sizes: Sequence[int]
    skipped: int = 0
    found: int = 0
    began: float = field(default_factory=time.monotonic)
    swept: Sequence[str] = ()

    @contextmanager
    def launching(self) -> Iterator[None]:
        """Let the body's lines about runs begin with their places in this sweep."""
        token = _sweep.set(self)
        try:
            yield
        finally:
            _sweep.reset(token)

    def place(self, ended: int) -> str:
        """`[3/12,   40 s left]  ` for the run that ended as the `ended`-th; `[3/12]  ` where none was trained yet."""
        count, trained = self.skipped + sum(self.sizes), ended - self.skipped - self.found
        if trained <= 0:
            return f"[{ended:{len(str(count))}}/{count}]  "
        left = (time.monotonic() - self.began) / trained * (count - ended)
        return f"[{ended:{len(str(count))}}/{count}, {left:4.0f} s left]  "


_sweep: ContextVar[Sweep | None] = ContextVar("sweep", default=None)
_kept: ContextVar[list[Line] | None] = ContextVar("kept", default=None)


def tell(line: Line) -> None:
    """Print a line of the job under way; where lines are kept, keep it."""
    lines = _kept.get()
    if lines is not None:
        lines.append(line)
    elif _sweep.get() is None:
        show(line)
    else:
        show(line, before=runs_before(HydraConfig.get().job.num))


def show(line: Line, before: int = 0) -> None:
    """Print a line of a job, until which `before` runs of other jobs had ended."""
    sweep = _sweep.get()
    if sweep is not None:
        sweep.found += line.found
    place = "" if sweep is None or not line.ended else sweep.place(before + line.ended)
    say(f"{place}{line.text}", sys.stderr if line.error else sys.stdout)


def runs_before(job: int) -> int:
    """How many runs end before that job: the skipped ones, and those of the jobs before it."""
    sweep = _sweep.get()
    return 0 if sweep is None else sweep.skipped + sum(sweep.sizes[:job])


def swept() -> Sequence[str]:
    """The keys whose values differ between the runs of the sweep under way."""
    sweep = _sweep.get()
    return () if sweep is None else sweep.swept


def values_of(overrides: Iterable[str]) -> dict[str, str]:
    """The values of overrides by key, as they were written."""
    return dict(override.lstrip("+").split("=", 1) for override in overrides if "=" in override)


def differing(runs: Sequence[Mapping[str, str]]) -> list[str]:
    """The keys whose values differ between runs, of the values that each was given."""
    keys = dict.fromkeys(key for run in runs for key in run)
    return [key for key in keys if len({run.get(key) for run in runs}) > 1]


@contextmanager
def collect_lines() -> Iterator[list[Line]]:
    """Keep what the body prints, in its order, for another process that knows what has ended elsewhere."""
    lines: list[Line] = []
    out, err = _Kept(lines, error=False), _Kept(lines, error=True)
    token = _kept.set(lines)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            yield lines
    finally:
        _kept.reset(token)
        out.end()
        err.end()


def collecting_lines() -> bool:
    """Whether nobody sees what is printed before the job is over."""
    return _kept.get() is not None


class _Kept(TextIOBase):
    """A stream whose lines are kept."""

    def __init__(self, lines: list[Line], *, error: bool) -> None:
        self._lines, self._error = lines, error
        self._parts: list[str] = []  # of the line that has not ended

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        whole, newline, rest = text.rpartition("\n")
        if newline:
            self._parts.append(whole + newline)
            self.end()
        if rest:
            self._parts.append(rest)
        return len(text)

    def end(self) -> None:
        """Keep what was written, though its line has not ended."""
        self._lines += [Line(each, self._error) for each in "".join(self._parts).splitlines()]
        self._parts.clear()
