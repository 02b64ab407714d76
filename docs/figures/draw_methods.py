"""Draw the pictures of docs/methods: `python docs/figures/draw_methods.py`.

Of a projection the entries of P and of P^T P, at a small size; of a method what is trained, and what that moves.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle

import intrinsic
from intrinsic.projections.base import Projection

OUT = Path(__file__).parent.parent / "methods" / "figures"
FULL_DIM, DIM = 96, 16
PROJECTIONS: dict[str, type[Projection]] = {
    "dense": intrinsic.Dense,
    "sparse": intrinsic.Sparse,
    "fastfood": intrinsic.Fastfood,
    "kronecker": intrinsic.Kronecker,
    "kronecker_sum": intrinsic.KroneckerSum,
    "dct": intrinsic.DCT,
    "trajectory": intrinsic.Trajectory,
    "onehot": intrinsic.OneHot,
    "select": intrinsic.Select,
}
TRAINED, MOVED, MADE, FROZEN = "#e08214", "#6baed6", "#fdd0a2", "#dedede"
WEIGHTS, BIASES = ("W0", "W1", "W2"), ("b0", "b1", "b2")
FACTORS = ("A0", "B0", "A1", "B1")
# what is trained as it is, what z moves, and what else stands in the picture
METHODS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "full": (WEIGHTS + BIASES, (), ()),
    "head": (("W2", "b2"), (), ()),
    "bitfit": (("b0", "b1", "W2", "b2"), (), ()),
    "norms": ((), (), ("norms",)),
    "film": (("W2", "b2"), (), ("norms",)),
    "subspace": ((), WEIGHTS + BIASES, ("z",)),
    "said": ((), WEIGHTS + BIASES, ("z", "scales")),
    "lora": (FACTORS, (), ()),
    "loraplus": (FACTORS, (), ()),
    "unilora": ((), FACTORS, ("z",)),
    "sublora": ((), FACTORS, ("z",)),
    "nola": ((), FACTORS, ("blocks",)),
    "lora_xs": ((), (), ("inner",)),
    "tinylora": ((), ("R0", "R1"), ("z", "inner")),
    "vera": ((), (), ("vectors",)),
    "ia3": ((), (), ("outputs",)),
    "fourierft": ((), ("W0", "W1"), ("z",)),
    "shira": ((), ("W0", "W1"), ("z",)),
    "adapter": ((), (), ("adapters",)),
    "prefix": ((), (), ("prefixes",)),
    "prompt": ((), (), ("prompt",)),
    "lora_prefix": (FACTORS, (), ("prefixes",)),
}
STYLE = {"font.family": "DejaVu Sans", "font.size": 9, "figure.facecolor": "white"}


def draw_projection(name: str) -> Figure:
    """Entries of P^T, a row for each coordinate, and of P^T P."""
    with torch.no_grad():
        rows = PROJECTIONS[name](DIM, FULL_DIM, seed=0)(torch.eye(DIM)).numpy()  # P^T: (dim, full_dim)
    figure = Figure(figsize=(7.2, 1.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[FULL_DIM / DIM, 1.15])
    largest = float(np.abs(rows).max())
    left.imshow(rows, cmap="RdBu", vmin=-largest, vmax=largest, interpolation="nearest", aspect="auto")
    left.set(xlabel=f"{FULL_DIM} weights", ylabel=f"{DIM} coordinates", xticks=[], yticks=[], title="Pᵀ")
    right.imshow(rows @ rows.T, cmap="RdBu", vmin=-1, vmax=1, interpolation="nearest")
    right.set(xticks=[], yticks=[], title="Pᵀ P")
    return figure


def draw_method(name: str) -> Figure:
    """Two layers and a head, from left to right."""
    trained, moved, extras = METHODS[name]
    figure = Figure(figsize=(7.2, 2.5), layout="constrained")
    axes = figure.add_subplot(xlim=(-2.6, 16.4), ylim=(-1.7, 4.6), aspect="equal")
    axes.set_axis_off()

    def colour(part: str) -> str:
        return TRAINED if part in trained else MOVED if part in moved else FROZEN

    for layer in range(3):
        left, height = 5.2 * layer, (3.0, 3.0, 1.2)[layer]
        _box(axes, left, 0, 2.2, height, colour(f"W{layer}"), ("W₁", "W₂", "head")[layer])
        _box(axes, left + 2.4, 0, 0.3, height, colour(f"b{layer}"), "")
        if f"A{layer}" in trained + moved:
            _box(axes, left + 3.1, 0, 0.35, height, colour(f"B{layer}"), "B")
            _box(axes, left + 3.55, height - 0.35, 1.2, 0.35, colour(f"A{layer}"), "A")
        if "inner" in extras and layer < 2:
            _box(axes, left + 3.1, 0, 0.35, height, FROZEN, "U")
            _box(axes, left + 3.55, height - 0.35, 0.35, 0.35, MOVED if moved else TRAINED, "R")
            _box(axes, left + 4.0, height - 0.35, 0.9, 0.35, FROZEN, "V")
        if "vectors" in extras and layer < 2:
            _box(axes, left + 3.1, 0, 0.3, height, TRAINED, "b")
            _box(axes, left + 3.5, 0, 0.35, height, FROZEN, "B")
            _box(axes, left + 3.95, height - 0.35, 0.35, 0.35, TRAINED, "d")
            _box(axes, left + 4.4, height - 0.35, 0.7, 0.35, FROZEN, "A")
        if "outputs" in extras and layer < 2:
            _box(axes, left + 3.3, 0, 0.35, height, TRAINED, "l")
        if "adapters" in extras and layer < 2:
            _box(axes, left + 3.3, 0.4, 0.35, 2.2, TRAINED, "D")
            _box(axes, left + 3.8, 0.4, 0.35, 2.2, TRAINED, "U")
        if "norms" in extras and layer < 2:
            _box(axes, left + 3.3, 0, 0.35, height, TRAINED, "γ")
            _box(axes, left + 3.8, 0, 0.35, height, TRAINED, "β")
        if "prefixes" in extras and layer < 2:
            _box(axes, left, 3.25, 2.2, 0.4, TRAINED, "K′")
            _box(axes, left, 3.75, 2.2, 0.4, TRAINED, "V′")
        if "prompt" in extras and layer < 2:
            _box(axes, left, 3.25, 2.2, 0.4, MADE, "K′ V′")
        if "scales" in extras:
            axes.text(left + 1.1, height + 0.2, f"λ{'₁₂₃'[layer]}", color=TRAINED, ha="center", weight="bold")
        axes.annotate("", (left - 0.1, 0.6), (left - 0.5, 0.6), arrowprops={"arrowstyle": "->", "color": "0.5"})
    for layer in range(3 if "W2" in moved else 2) if moved else ():
        if "blocks" in extras:
            _box(axes, 5.2 * layer + 3.1, -1.45, 0.35, 0.8, TRAINED, "z")
            _box(axes, 5.2 * layer + 4.0, -1.45, 0.35, 0.8, TRAINED, "z")
            _arrow(axes, (5.2 * layer + 3.27, -0.6), (5.2 * layer + 3.27, -0.1))
            _arrow(axes, (5.2 * layer + 4.17, -0.6), (5.2 * layer + 4.17, 2.55))
        else:
            place = 1.1 if "W0" in moved else 3.6
            _arrow(axes, (-1.75, -1.05), (5.2 * layer + place, -0.1))
    if "z" in extras:
        _box(axes, -2.4, -1.45, 0.6, 0.8, TRAINED, "z")
        axes.text(-0.8, -1.5, "P", style="italic", color="0.35")
    if "prompt" in extras:
        _box(axes, -2.4, 3.25, 1.2, 0.4, TRAINED, "prompt")
        _arrow(axes, (-1.1, 3.45), (-0.1, 3.45))
        _arrow(axes, (2.3, 3.45), (5.1, 3.45))
    kinds = {"trained": TRAINED, "moved by z": MOVED, "made of the prompt": MADE, "frozen": FROZEN}
    present = [p.get_facecolor() for p in axes.patches if isinstance(p, Rectangle)]
    shown = [Patch(color=c, label=label) for label, c in kinds.items() if mpl.colors.to_rgba(c) in present]
    axes.legend(handles=shown, loc="upper right", frameon=False)
    return figure


def _box(axes: Axes, x: float, y: float, width: float, height: float, colour: str, text: str) -> None:
    axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="0.4", linewidth=0.6))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=7, color="0.45", linewidth=0.8))


def main() -> None:
    """Write a PNG for each."""
    OUT.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        for names, draw in ((PROJECTIONS, draw_projection), (METHODS, draw_method)):
            for name in names:
                draw(name).savefig(OUT / f"{name}.png", dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    main()
