"""Small lines at the foot of a figure."""

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure

from analysis.studies.plain import plain

SIZE = 7.0  # points
WIDTH = 17.2  # letters of this size in an inch
HEIGHT = 0.14  # of a line, inches


def footer(figure: Figure, lines: Sequence[str]) -> None:
    """Write lines below the axes, and as much higher a figure; one that is too long for its width is wrapped once."""
    if lines:
        width = int(WIDTH * figure.get_figwidth())
        text = "\n".join(textwrap.fill(plain(line), width, max_lines=2, placeholder=" …") for line in lines)
        figure.set_figheight(figure.get_figheight() + HEIGHT * (1 + text.count("\n")))
        figure.supxlabel(text, x=0.01, ha="left", fontsize=SIZE, color="#555555", linespacing=1.3)
