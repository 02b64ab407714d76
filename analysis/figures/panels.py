"""A grid of small axes for two lists of names, and ticks for small log axes."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

WIDEST = 6  # columns


def panels(
    first: Sequence[str], second: Sequence[str], *, named: bool = False
) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """Axes for each pair of names, with the longer list along the columns where it has at most six.

    Args:
        first: names of one side; those of one name have one scale of y.
        second: names of the other.
        named: the names of `first` say what y is.
    """
    lists = {True: first, False: second}
    down = len(first) <= len(second) if max(len(first), len(second)) <= WIDEST else len(first) > len(second)
    rows, columns = lists[down], lists[not down]
    width, height = 1.75 if len(columns) > 3 else 2.4, 2.4 if len(rows) == 1 else 1.75 if len(rows) < 5 else 1.35
    size = (0.9 + width * max(len(columns), 2), 0.9 + height * len(rows))  # inches
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True, sharey="row" if down else "col")
    found = {}
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            found[(row, column) if down else (column, row)] = grid[i, j]
            if i == 0:
                grid[i, j].set_title(_wrapped(column), fontsize=9)
        if named and down:
            grid[i, 0].set_ylabel(row)
        else:
            grid[i, -1].annotate(
                _wrapped(row), (1.03, 0.5), xycoords="axes fraction", rotation=270, va="center", ha="left", fontsize=9
            )
    return figure, found


def _wrapped(name: str) -> str:
    """Break a long name after its first dot: `attention.` and `output.dense`."""
    return name.replace(".", ".\n", 1) if len(name) > 18 else name


def powers(axis: Axis, low: float, high: float) -> None:
    """Put ticks at few powers of two of a log axis, or at its ends where there are none, as plain numbers."""
    shown = [2.0**k for k in range(20) if low <= 2**k <= high] or sorted({float(low), float(high)})
    axis.set_major_locator(FixedLocator(shown[:: 1 + (len(shown) - 1) // 5]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
