"""The figure of a backward pass's graph."""

from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch
from matplotlib.path import Path

from analysis.figures.backward.fewer_nodes import gather_nodes
from analysis.figures.backward.graph_layout import Places, graph_layout
from analysis.figures.figure import STYLE

FILLS = {"trained": "#F6D9B8", "projected": "#EBD3E4", "frozen": "#E2E6EA", "": "#FFFFFF"}
LEGEND = {"trained": "has trainable parameters", "projected": "gradients of weights go to Pᵀ",
          "frozen": "weights frozen", "": "no weights"}  # fmt: skip
STOP = "#C03A2B"
LINE, LETTER, MARGIN = 0.11, 0.0475, 0.05  # inches: of a line of text, of a letter, around the text
ROWS = 4  # of texts about saved tensors or parameters in a box


def backward_figure(graph: dict[str, Any], title: str) -> tuple[Figure, pd.DataFrame]:
    """A box for each module, the loss on top, an arrow wherever a gradient goes; and the same as a table.

    Of a list of equal layers the last is drawn, and the others are one box. A box says what shape leaves the module,
    which tensors are saved for the backward pass, and which weights are trained, frozen, or projected.

    Args:
        graph: see `experiments.step.backward_graph`.
        title: the method's name.
    """
    nodes, edges = gather_nodes(graph)
    texts = {name: _text(node) for name, node in nodes.items()}
    if graph["silent"]:
        texts["silent"] = _silent(graph["silent"])
        edges += [(name, "silent") for name, node in nodes.items() if node["stops"] and name != "Pᵀ"]
    sizes = {
        name: (2 * MARGIN + LETTER * max(1.1 * len(lines[0]), *map(len, lines)), 2 * MARGIN + LINE * len(lines))
        for name, lines in reversed(texts.items())
    }
    if "silent" in sizes:
        sizes["silent"] = sizes.pop("silent")  # below all
    drawn = [edge for edge in edges if edge[1] != "Pᵀ"]
    places = graph_layout({name: size for name, size in sizes.items() if name != "Pᵀ"}, drawn)
    if "Pᵀ" in sizes:
        low = min(y - sizes[name][1] / 2 for name, (_, y) in places.items())
        places["Pᵀ"] = (sum(x for x, _ in places.values()) / len(places), low - 0.2 - sizes["Pᵀ"][1] / 2)
    with mpl.rc_context(STYLE):
        figure = _draw(nodes, texts, sizes, places, drawn, title)
    return figure, pd.DataFrame([_row(name, node) for name, node in nodes.items()])


def _text(node: dict[str, Any]) -> list[str]:
    if node["name"] == "Pᵀ":
        return ["Pᵀ: collects ∂L/∂θ of all weights, and gives ∂L/∂z"]
    states = [state for _, _, state in node["parameters"]]
    saved = sum(size for *_, size in node["saved"])
    if node["layers"]:
        numbers = dict.fromkeys(states, 0)
        for _, shape, state in node["parameters"]:
            numbers[state] += _count(shape)
        lines = [f"{node['layers']}.0 … {node['count'] - 1}: {node['count']} layers like layer {node['count']}"]
        lines += [f"save {_bytes(saved)}"] * bool(saved)
        return lines + [f"{count:,} parameters {state}" for state, count in numbers.items()]
    name = node["name"].partition(":")[0]
    if node["repeat"]:
        name = name.removeprefix(node["repeat"][0] + ".")
    kind = node["kind"] if node["kind"] != name.rpartition(".")[2] else ""
    head = f"{name}  {kind}".strip() if node["parameters"] or node["name"] == "loss" else f"{kind}"
    lines = [" ".join([head, *(["→", _shape(node["shape"])] if node["shape"] else [])])]
    shapes = [f"{f'{many} of ' * (many > 1)}{_shape(shape)}" for shape, many, size in node["saved"] if size > 64]
    if shapes:
        more = ["…"] * (len(shapes) > ROWS)
        lines.append(f"saves {', '.join([*shapes[:ROWS], *more])} ({_bytes(saved)})")
    for state in ("trained", "projected", "frozen"):
        own = [f"{short(name)} {_shape(shape)}" for name, shape, s in node["parameters"] if s == state]
        lines += [f"{state}: {', '.join(own)}"] * bool(own)
    return lines


def short(name: str) -> str:
    """A parameter's name as the formulas have it."""
    return name.removeprefix("lora_").removeprefix("adapter_").replace("weight", "W").replace("bias", "b")


def _silent(names: list[str]) -> list[str]:
    tails = list(dict.fromkeys(name.rpartition(".")[2] for name in names))
    shown = ", ".join(tails[:4]) + ", …" * (len(tails) > 4)
    return [f"no gradient comes here: {len(names)} frozen modules", shown]


def _row(name: str, node: dict[str, Any]) -> dict[str, Any]:
    row = {"module": name, "kind": node["kind"], "output": _shape(node["shape"]), "modules": node["modules"]}
    row |= {"saved_bytes": sum(size for *_, size in node["saved"]), "stops": node["stops"]}
    for state in ("trained", "projected", "frozen"):
        row[state] = sum(_count(shape) for _, shape, own in node["parameters"] if own == state)
    return row


def _count(shape: list[int]) -> int:
    total = 1
    for side in shape:
        total *= side
    return total


def _shape(shape: list[int]) -> str:
    return "×".join(map(str, shape))


def _bytes(count: int) -> str:
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count} B"


def _draw(
    nodes: dict[str, dict[str, Any]], texts: dict[str, list[str]], sizes: dict[str, tuple[float, float]],
    places: Places, edges: list[tuple[str, str]], title: str,
) -> Figure:  # fmt: skip
    left = min(x - sizes[name][0] / 2 for name, (x, _) in places.items()) - 0.2
    right = max(x + sizes[name][0] / 2 for name, (x, _) in places.items()) + 0.4
    bottom = min(y - sizes[name][1] / 2 for name, (_, y) in places.items()) - 0.25
    top = max(y + sizes[name][1] / 2 for name, (_, y) in places.items()) + 0.1
    used = {_state(node) for node in nodes.values()}
    head = 0.62 + 0.2 * (len(used) > 1)
    width = max(right - left, 4.4)
    figure = Figure(figsize=(width, top - bottom + head))
    axes = figure.add_axes((0, 0, 1, (top - bottom) / (top - bottom + head)))
    middle = (left + right) / 2
    axes.set(xlim=(middle - width / 2, middle + width / 2), ylim=(bottom, top))
    axes.set_axis_off()
    for source, target in edges:
        stopped = target == "silent"
        axes.add_patch(
            FancyArrowPatch(
                path=_path(source, target, places, sizes), arrowstyle="-" if stopped else "-|>", mutation_scale=6,
                lw=0.8, color=STOP if stopped else "#444444", ls=(0, (2, 2)) if stopped else "-", zorder=2,
            )
        )  # fmt: skip
    for name, lines in texts.items():
        node = nodes.get(name, {"stops": False, "parameters": []})
        _box(axes, places[name], sizes[name], lines, FILLS[_state(node)] if name in nodes else "none")
        if node["stops"] and name != "Pᵀ":
            x, y = places[name][0], places[name][1] - sizes[name][1] / 2 - 0.035
            axes.plot([x - 0.12, x + 0.12], [y, y], color=STOP, lw=2.2, solid_capstyle="butt")
    handles: list[Artist] = [
        Patch(fc=FILLS[state], ec="#555555", lw=0.7, label=LEGEND[state]) for state in FILLS if state in used
    ]
    if any(node["stops"] for node in nodes.values()):
        handles.append(Line2D([], [], color=STOP, lw=2.2, label="no gradient goes on"))
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.1 / width, 1 - 0.26 / (top - bottom + head)), ncols=2,
        fontsize=8, handlelength=1.3, columnspacing=1.2, borderaxespad=0,
    )  # fmt: skip
    figure.text(
        0.1 / width, 1 - 0.06 / (top - bottom + head), f"{title}: backward pass of one step",
        va="top", fontsize=10,
    )  # fmt: skip
    return figure


def _state(node: dict[str, Any]) -> str:
    states = {state for *_, state in node["parameters"]}
    return next((state for state in ("trained", "projected", "frozen") if state in states), "")


def _box(axes: Axes, place: tuple[float, float], size: tuple[float, float], lines: list[str], fill: str) -> None:
    (x, y), (width, height) = place, size
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0,rounding_size=0.05", fc=fill,
            ec="#555555", lw=0.7, ls="--" if fill == "none" else "-", zorder=3,
        )
    )  # fmt: skip
    for row, line in enumerate(lines):
        at = y + height / 2 - MARGIN - LINE * (row + 0.5)
        axes.text(x, at, line, ha="center", va="center", fontsize=5.6, zorder=4, weight="bold" if row == 0 else None)


def _path(source: str, target: str, places: Places, sizes: dict[str, tuple[float, float]]) -> Path:
    """From the lower edge of one box to the upper edge of another, or by the right of what stands between."""
    (x0, y0), (x1, y1) = places[source], places[target]
    low, high = y0 - sizes[source][1] / 2, y1 + sizes[target][1] / 2
    between = [
        x + sizes[name][0] / 2 for name, (x, y) in places.items() if high < y < low and name not in (source, target)
    ]
    if not between:
        return Path([(x0, low), (x1, high)])
    right = max(*between, x0 + sizes[source][0] / 2, x1 + sizes[target][0] / 2) + 0.15
    out, back = (x0 + sizes[source][0] / 2, y0), (x1 + sizes[target][0] / 2, y1)
    turn = 0.12
    points = [out, (right, y0), (right, y0), (right, y0 - turn), (right, y1 + turn), (right, y1), (right, y1), back]
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3]
    return Path(points, codes)
