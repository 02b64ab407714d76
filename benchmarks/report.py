"""The results as tables in Markdown."""

from typing import Any

from benchmarks import in_fit, peft_step, size, start, step_parts
from benchmarks.step import BATCH
from benchmarks.timing import PRODUCT_TURNS, TURNS

Rows = list[dict[str, Any]]

HEAD = "# Benchmarks\n\n`make bench`, or `python -m benchmarks SECTION...` for some; `--compare` names what got slower."
REPEATED = ("steps", "fit", "size")  # in several processes
PARTS = ("θ₀ + P z", "forward and loss", "backward", "of which Pᵀ g", "Adam")


def report(results: dict[str, Any]) -> str:
    """RESULTS.md."""
    sections = {name: _SECTIONS[name](section["rows"]) for name, section in results.items() if section["rows"]}
    texts = []
    for name, (head, *paragraphs) in sections.items():
        count = results[name].get("processes", 1) if name in REPEATED else 1
        of = f" Medians over {count} processes." if count > 1 else ""
        texts.append("\n\n".join([head, f"{results[name]['machine']}.{of}", *paragraphs]))
    return "\n\n".join([HEAD, *texts]) + "\n"


def _steps(rows: Rows) -> list[str]:
    return [
        "## The step in a subspace ÷ the full step, in a loop of one's own",
        f"`net(x)`, cross-entropy, `loss.backward()`, `optimizer.step()`, batch {BATCH}; the full step is that of the "
        "plain model in the same loop. Adam is torch's fused one on both sides, which `conf/optim` uses; in the next "
        "column `intrinsic.optimizer_step` and `intrinsic.zero_grad` take the step of z with it; and in the last one "
        "Adam is torch's default one, which makes the full step longer. float32; medians of "
        f"{TURNS} turns, in which both sides of a ratio are timed one after the other.",
        markdown(
            ["network", "projection", "d", "step ÷ full step", "by `optimizer_step`", "default Adam", "P in MB"],
            [
                [
                    r["network"],
                    r["projection"],
                    _int(r["dim"]),
                    *map(_two, (r["own_loop"], r["lean_loop"], r["default_adam"])),
                    _mb(r),
                ]
                for r in rows
            ],
        ),
        _full_steps(rows),
    ]


def _fit(rows: Rows) -> list[str]:
    return [
        "## An epoch of `fit`",
        f"{' and '.join(f'{steps} steps ({name})' for name, steps in in_fit.STEPS.items())} of {BATCH} examples, an "
        "epoch of MNIST and a quarter of one, batches included, fused Adam: as a ratio to the epoch of a tight loop "
        f"that trains the plain model, and of the same loop around the same net. Medians of {in_fit.TURNS} turns.",
        markdown(
            ["network", "projection", "d", "fit ÷ full loop", "fit ÷ own loop"],
            [
                [r["network"], r["projection"], _int(r["dim"]), *map(_two, (r["to_full_loop"], r["to_own_loop"]))]
                for r in rows
            ],
        ),
    ]


def _parts(rows: Rows) -> list[str]:
    return [
        "## Parts of a step",
        f"{step_parts.NETWORK}, d = {step_parts.DIM}, own loop, fused Adam, µs, medians inside running steps.",
        markdown(
            ["projection", *PARTS],
            [[r["projection"], *(f"{r[part]:.0f}" if part in r else "" for part in PARTS)] for r in rows],
        ),
        "What a subspace adds is θ₀ + P z and Pᵀ g; what it saves is Adam on all weights.",
    ]


def _products(rows: Rows) -> list[str]:
    return [
        "## Products ÷ copying D floats",
        f"θ₀ + P z written in place, and Pᵀ g, as they run inside a step. float32; medians of {PRODUCT_TURNS} turns.",
        markdown(
            ["projection", "d", "D", "θ₀ + P z ÷ copy", "Pᵀ g ÷ copy", "copy in ms"],
            [
                [
                    r["projection"],
                    *map(_int, (r["dim"], r["full_dim"])),
                    *map(_two, (r["forward"], r["adjoint"], r["copy_ms"])),
                ]
                for r in rows
            ],
        ),
        "![growth](growth.png)",
    ]


def _size(rows: Rows) -> list[str]:
    return [
        "## At the size of large models",
        f"{size.DEPTH} equal linear layers, {size.BATCH} examples, fused Adam: medians of {size.TURNS} pairs of "
        "steps, one in the subspace and one of full fine-tuning. Bytes at their most, a weight: what drawing P takes "
        "beside the model; and a step, the model, P and gradients included.",
        markdown(
            [
                "projection",
                "d",
                "D",
                "model",
                "P drawn in s",
                "bytes",
                "bytes of a step",
                "step ÷ full",
                "full step in s",
            ],
            [
                [
                    r["projection"],
                    *map(_int, (r["dim"], r["full_dim"])),
                    r["dtype"],
                    *map(
                        _two,
                        (r["drawn_seconds"], r["drawn_bytes"], r["step_bytes"], r["ratio"], r["full_step_seconds"]),
                    ),
                ]
                for r in rows
            ],
        ),
    ]


def _start(rows: Rows) -> list[str]:
    return [
        "## Commands",
        f"Seconds of whole processes, and as ratios to one that imports torch: medians of {start.TURNS} turns.",
        markdown(
            ["command", "seconds", "÷ import torch"],
            [[r["command"], _two(r["seconds"]), _two(r["to_import"])] for r in rows],
        ),
    ]


def _huge(rows: Rows) -> list[str]:
    (huge,) = rows
    return [
        "## A dense P that is not stored",
        f"D = {huge['full_dim']:,}, d = {huge['dim']:,}, entries drawn inside the product: "
        f"{huge['step_seconds']:.1f} s a step, {huge['peak_mb_beyond_model']:,.0f} MB at most beyond the model.",
    ]


def _peers(rows: Rows) -> list[str]:
    return [
        "## Peers in the same run",
        markdown(
            ["what", "peer", "ours", "peer in ms", "ours in ms", "peer ÷ ours"],
            [
                [r["what"], r["peer"], r["ours"], f"{r['peer_ms']:.2f}", f"{r['ours_ms']:.2f}", f"{r['ratio']:.1f}"]
                for r in rows
            ],
        ),
    ]


def _peft(rows: Rows) -> list[str]:
    (row,) = rows
    return [
        "## LoRA beside PEFT",
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


def _full_steps(rows: Rows) -> str:
    last = {row["network"]: row for row in rows}
    steps = [
        f"{name} {r['full_step_ms']:.2f} ms, with the default Adam {r['full_step_default_ms']:.2f} ms"
        for name, r in last.items()
    ]
    return f"Full step: {'; '.join(steps)}."


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table; columns of numbers stand right."""
    numeric = [all(row[i][:1].isdigit() or not row[i] for row in rows) for i in range(len(head))]
    lines = [head, ["---:" if right else "---" for right in numeric], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


_SECTIONS = {
    "steps": _steps,
    "fit": _fit,
    "parts": _parts,
    "products": _products,
    "size": _size,
    "huge": _huge,
    "start": _start,
    "peft": _peft,
    "peers": _peers,
}
