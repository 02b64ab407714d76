"""The start as a horizontal line beside the baseline."""

from collections.abc import Iterable

from analysis.figures.level import THIN, Level

APART = 0.01  # starts that are nearer than that, as those of other seeds, are one line


def start_levels(starts: Iterable[float | None]) -> list[Level]:
    """Levels for `draw_curves` at the scores before any training: one for all that lie together, at their mean."""
    groups: list[list[float]] = []
    for start in sorted(start for start in starts if start is not None):
        if groups and start - groups[-1][0] <= APART:
            groups[-1].append(start)
        else:
            groups.append([start])
    return [Level(f"start {sum(group) / len(group):.3f}", sum(group) / len(group), THIN) for group in groups]
