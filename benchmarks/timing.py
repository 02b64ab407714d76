"""Two things timed in turns: what else the machine does hits both, and the ratio stands."""

import statistics
import time
from collections.abc import Callable

TURNS, PRODUCT_TURNS, SECONDS = 15, 7, 0.06  # turns, for steps and for products; seconds per turn and side


def ratio(one: Callable[[], object], other: Callable[[], object], *, turns: int = TURNS) -> tuple[float, float]:
    """Median over turns of seconds(one) / seconds(other), and the median seconds of `other`."""
    repeats = [_repeats(call) for call in (one, other)]
    pairs = [[seconds(call, count) for call, count in zip((one, other), repeats, strict=True)] for _ in range(turns)]
    return statistics.median(a / b for a, b in pairs), statistics.median(b for _, b in pairs)


def _repeats(call: Callable[[], object]) -> int:
    call()  # compiles, allocates
    return max(1, round(SECONDS / max(min(seconds(call, 1) for _ in range(2)), 1e-7)))


def seconds(call: Callable[[], object], count: int) -> float:
    """Mean seconds of a call."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count
