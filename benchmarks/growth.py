"""How the time of the products grows, as a figure."""

from pathlib import Path
from typing import Any


def draw_growth(rows: list[dict[str, Any]], path: Path) -> None:
    """How the time of P z and P^T g together grows with D and with d, on logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, x, fixed, value in zip(panels, ("full_dim", "dim"), ("dim", "full_dim"), (1000, 10**6), strict=True):
        for name in dict.fromkeys(row["projection"] for row in rows):
            points = sorted(
                (row[x], (row["forward"] + row["adjoint"]) * row["copy_ms"])
                for row in rows
                if row["projection"] == name and row[fixed] == value
            )
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
        axes.set(xscale="log", yscale="log", title=f"{'d' if fixed == 'dim' else 'D'} = {value:,}")
        axes.set_xlabel("weights D" if x == "full_dim" else "coordinates d")
        axes.grid(alpha=0.3)
    copies = sorted({row["full_dim"]: row["copy_ms"] for row in rows if row["dim"] == 1000}.items())
    panels[0].plot(*zip(*copies, strict=True), color="black", linestyle=":", label="copy of D floats")
    panels[0].set_ylabel("θ₀ + P z and Pᵀ g, ms")
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=150)
