"""The layout of a graph: where its nodes stand."""

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence

from intrinsic.errors import UserError

GAP = 0.2  # inches
Places = dict[str, tuple[float, float]]


def graph_layout(sizes: Mapping[str, tuple[float, float]], edges: Sequence[tuple[str, str]]) -> Places:
    """The centre of each node in inches, y upwards: edges go downwards, and boxes never overlap.

    Graphviz's `dot` places them where it is installed; otherwise each node stands below all that lead to it, in rows
    that are centred.

    Args:
        sizes: width and height of each node in inches, those above first.
        edges: from above to below, without a cycle.
    """
    return _dot(sizes, edges) if shutil.which("dot") else _rows(sizes, edges)


def _dot(sizes: Mapping[str, tuple[float, float]], edges: Sequence[tuple[str, str]]) -> Places:
    number = {name: f"n{index}" for index, name in enumerate(sizes)}
    lines = [f'digraph {{ nodesep={GAP / 2}; ranksep={GAP}; node [shape=box, fixedsize=true, label=""];']
    lines += [f"{number[name]} [width={width:.3f}, height={height:.3f}];" for name, (width, height) in sizes.items()]
    lines += [f"{number[source]} -> {number[target]};" for source, target in edges]
    try:
        done = subprocess.run(
            ["dot", "-Tplain"],  # noqa: S607  # whichever is installed
            input="\n".join([*lines, "}"]), capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"graphviz's dot cannot place the graph: {error}; repair or remove it") from None
    placed = [line.split() for line in done.stdout.splitlines() if line.startswith("node ")]
    found = {words[1]: (float(words[2]), float(words[3])) for words in placed}
    return {name: found[number[name]] for name in sizes}


def _rows(sizes: Mapping[str, tuple[float, float]], edges: Sequence[tuple[str, str]]) -> Places:
    above = defaultdict(list)
    for source, target in edges:
        above[target].append(source)
    level: dict[str, int] = {}

    def place(name: str) -> int:
        if name not in level:
            level[name] = 1 + max(map(place, above[name]), default=-1)
        return level[name]

    for name in sizes:
        place(name)
    found: Places = {}
    y = 0.0
    for row in range(max(level.values()) + 1):
        members = [name for name in sizes if level[name] == row]
        height = max(sizes[name][1] for name in members)
        x = -(sum(sizes[name][0] for name in members) + GAP / 2 * (len(members) - 1)) / 2
        for name in members:
            found[name] = x + sizes[name][0] / 2, y - height / 2
            x += sizes[name][0] + GAP / 2
        y -= height + GAP
    return found
