"""Tables of which nothing is cut off where there is room."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

FILE = 100_000  # columns that no table has


def print_whole(table: Table) -> None:
    """Print a table: on a terminal in its width, elsewhere in the width that the table needs.

    A file has no margin: what a line says last, the remedy, is not cut off.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(200, Measurement.get(console, console.options.update(width=FILE), table).maximum))
    console.print(table)
