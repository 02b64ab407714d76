"""Labels of a log axis in plain text."""

import re

from matplotlib.axis import Axis
from matplotlib.ticker import LogFormatterSciNotation

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def powers_of_ten(axis: Axis) -> None:
    """Write a log axis' ticks as matplotlib does, 10⁻³ and 2×10⁻³, but without markup, which figures leave off."""
    axis.set_major_formatter(_Plain())
    axis.set_minor_formatter(_Plain(labelOnlyBase=False))


class _Plain(LogFormatterSciNotation):
    def __call__(self, x: float, pos: int | None = None) -> str:
        text = re.sub(r"\^\{([-0-9]+)\}", lambda found: found[1].translate(_RAISED), super().__call__(x, pos))
        return re.sub(r"\$|\\mathdefault\{|\}|\\", "", text.replace(r"\times", "×"))
