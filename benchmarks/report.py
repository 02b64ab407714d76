"""The results as tables in Markdown and as a figure."""

from pathlib import Path
from typing import Any

from benchmarks import peft_step, step_parts
from benchmarks.step import BATCH
from benchmarks.timing import PRODUCT_TURNS, TURNS

PARTS = ("θ₀ + P z", "forward and loss", "backward", "of which Pᵀ g", "Adam")


def report(results: dict[str, Any]) -> str:
    """RESULTS.md."""
    huge = results["huge"]
    sections = [
        "# Benchmarks",
        f"`make bench`. {results['machine']}. float32; medians of {TURNS} turns (products: "
        f"{PRODUCT_TURNS}), in which both sides of a ratio are timed one after the other.",
        "## The step in a subspace ÷ the full step",
        f"Batch {BATCH}; forward, cross-entropy, backward, Adam as torch makes it by default on both sides; in the "
        "last column its fused variant on both sides, which `conf/optim` uses and which makes the full step shorter.",
        markdown(
            ["network", "projection", "d", "step ÷ full step", "P in MB", "with fused Adam"],
            [
                [r["network"], r["projection"], _int(r["dim"]), _two(r["step"]), _mb(r), _two(r["step_fused"])]
                for r in results["steps"]
            ],
        ),
        _full_steps(results["steps"]),
        "## Parts of a step",
        f"{step_parts.NETWORK}, d = {step_parts.DIM}, µs, medians inside running steps; torch's default Adam.",
        markdown(
            ["projection", *PARTS],
            [[r["projection"], *(f"{r[part]:.0f}" if part in r else "" for part in PARTS)] for r in results["parts"]],
        ),
        "What a subspace adds is θ₀ + P z and Pᵀ g; what it saves is Adam on all weights. The rest of the backward "
        "pass beyond the full one is one copy of the gradients into one piece, and caches that P has filled. Adam on z "
        "is mostly the start of a dozen small operations, which the fused one does at once.",
        "## Products ÷ copying D floats",
        "θ₀ + P z written in place, and Pᵀ g, as they run inside a step.",
        markdown(
            ["projection", "d", "D", "θ₀ + P z ÷ copy", "Pᵀ g ÷ copy", "copy in ms"],
            [
                [
                    r["projection"],
                    *map(_int, (r["dim"], r["full_dim"])),
                    *map(_two, (r["forward"], r["adjoint"], r["copy_ms"])),
                ]
                for r in results["products"]
            ],
        ),
        "![growth](growth.png)",
        f"Dense, D = {huge['full_dim']:,}, d = {huge['dim']:,}, entries drawn inside the product: "
        f"{huge['step_seconds']:.1f} s a step, {huge['peak_mb_beyond_model']:,.0f} MB at most beyond the model.",
        "## LoRA beside PEFT",
        *_peft(results["peft"]),
        "## Peers in the same run",
        markdown(
            ["what", "peer", "ours", "peer in ms", "ours in ms", "peer ÷ ours"],
            [
                [r["what"], r["peer"], r["ours"], f"{r['peer_ms']:.2f}", f"{r['ours_ms']:.2f}", f"{r['ratio']:.1f}"]
                for r in results["peers"]
            ],
        )
        if results["peers"]
        else "Not measured: they could not be installed.",
    ]
    return "\n\n".join(sections) + "\n"


def _peft(row: dict[str, Any]) -> list[str]:
    """LoRA's step, memory and forward pass."""
    return [
        f"MiniLM (6 layers, 384 wide) with LoRA of rank {peft_step.RANK} on {' and '.join(peft_step.TARGETS)}, "
        f"{row['numbers']:,} trainable parameters. {row['machine']}.",
        f"A step of {peft_step.BATCH} sequences of {peft_step.LENGTH} tokens, {peft_step.TURNS} turns: "
        f"{_two(row['step'])} x PEFT's (quartiles {' to '.join(map(_two, row['step_quartiles']))}), which takes "
        f"{row['peft_step_ms']:.0f} ms. Tensors that a step allocates, at most: {row['ours_peak_mb']:.1f} MB, "
        f"PEFT's {row['peft_peak_mb']:.1f} MB.",
        f"One sequence of {peft_step.LATENCY} tokens without gradients, as ratios to the base model, which takes "
        f"{row['base_forward_ms']:.0f} ms:",
        markdown(["", "forward ÷ base"], [[name, _two(value)] for name, value in row["forward"].items()]),
    ]


def _int(value: int) -> str:
    return f"{value:,}"


def _two(value: float) -> str:
    return f"{value:.2f}"


def _mb(row: dict[str, Any]) -> str:
    return f"{row['bytes'] / 1e6:.1f}"


def _full_steps(rows: list[dict[str, Any]]) -> str:
    last = {row["network"]: row for row in rows}
    steps = [f"{name} {r['full_step_ms']:.2f} ms, fused {r['full_step_fused_ms']:.2f} ms" for name, r in last.items()]
    return f"Full step: {'; '.join(steps)}."


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table; columns of numbers stand right."""
    numeric = [all(row[i][:1].isdigit() or not row[i] for row in rows) for i in range(len(head))]
    lines = [head, ["---:" if right else "---" for right in numeric], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


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
