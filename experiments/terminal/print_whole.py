"""Tables of which nothing is cut off where there is room."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

FILE = 100_000  # columns that no table has


def print_whole(table: Table) -> None:
    """Print a table: on a terminal in its width, or that of its longest words; elsewhere in the width that it needs.

    A file has no margin: what a line says last, the remedy, is not cut off. A narrow terminal breaks lines by itself.
    """
    console = Console()
    need = Measurement.get(console, console.options.update(width=FILE), table)
    width = max(console.width, need.minimum) if console.is_terminal else max(200, need.maximum)
    Console(width=width).print(table, crop=False)
