"""Two things timed in turns: what else the machine does hits both, and the ratio stands."""

import statistics
import time
from collections.abc import Callable

TURNS, PRODUCT_TURNS, SECONDS = 15, 7, 0.06  # turns, for steps and for products; seconds per turn and side


def _done() -> None:
    """What has been called is over when it returns, on a CPU."""


def ratio(
    one: Callable[[], object],
    other: Callable[[], object],
    *,
    turns: int = TURNS,
    done: Callable[[], object] = _done,
) -> tuple[float, float]:
    """Median over turns of seconds(one) / seconds(other), and the median seconds of `other`.

    `done` waits for what the calls have put into a GPU's queue: once a turn, so that its own time does not count.
    """
    found = in_turns(one, other, turns=turns, done=done)
    return statistics.median(a / b for a, b in found), statistics.median(b for _, b in found)


def in_turns(
    *calls: Callable[[], object], turns: int = TURNS, done: Callable[[], object] = _done
) -> list[tuple[float, ...]]:
    """The seconds of each call in each turn."""
    repeats = [_repeats(call, done) for call in calls]
    return [tuple(seconds(call, count, done) for call, count in zip(calls, repeats, strict=True)) for _ in range(turns)]


def _repeats(call: Callable[[], object], done: Callable[[], object]) -> int:
    call()  # compiles, allocates
    done()
    once = seconds(call, 1, done)
    return 1 if once > SECONDS else round(SECONDS / max(min(once, seconds(call, 1, done)), 1e-7))


def seconds(call: Callable[[], object], count: int, done: Callable[[], object] = _done) -> float:
    """Mean seconds of a call."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    done()
    return (time.perf_counter() - start) / count
