"""The results as tables in Markdown."""

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.gpu import fully_connected, graphs, kernels, minilm, ratios, replicas
from benchmarks.report import markdown
from benchmarks.step import BATCH

Rows = list[dict[str, Any]]


def table(results: dict[str, Any]) -> str:
    """RESULTS_GPU.md: what each part did, then its rows."""
    parts = results["parts"]
    sections = ["# On a GPU", f"`python -m benchmarks.gpu`, scale {results['scale']}. {results['machine']}."]
    head = ["part", "status", "seconds", "peak memory in MB", "why"]
    lines = [[p["name"], p["status"], f"{p['seconds']:.0f}", f"{p['peak_mb']:,.0f}", _cell(p["reason"])] for p in parts]
    sections.append(markdown(head, lines))
    for name, section in _SECTIONS.items():
        rows = [row for part in parts if part["name"].split()[0] == name for row in part["rows"]]
        if rows:
            sections += section(rows)
            failed = [row for row in rows if "reason" in row]
            sections += [f"- {_case(row)}: {_cell(row['reason'])}" for row in failed]
    return "\n\n".join(sections) + "\n"


def _kernels(rows: Rows) -> Iterator[str]:
    yield "## Kernels against plain torch in float64 on the CPU"
    yield (
        "Largest deviation over all sizes, relative to the largest entry. Bits: P and its fingerprint are the CPU's; "
        "products repeat theirs; NaN stays. Allowed: "
        + ", ".join(f"{str(dtype).removeprefix('torch.')} {value:.0e}" for dtype, value in kernels.TOLERANCE.items())
        + f", and {kernels.ROUNDED:.0e} more where θ₀ + P z is rounded to bfloat16."
    )
    measured = [row for row in rows if "reason" not in row]
    names = ("P z", "θ₀ + P z", "Pᵀ g", "Pᵀ g in pieces", "rows", "gradient")
    lines = []
    for key in dict.fromkeys((row["projection"], row["dtype"], row["kernel"]) for row in measured):
        mine = [row for row in measured if (row["projection"], row["dtype"], row["kernel"]) == key]
        worst = [f"{max(row[name] for row in mine):.0e}" for name in names]
        good = sum(row["ok"] for row in mine)
        bits = "same" if all(row["bits"] and row["fingerprint"] and row["repeats"] for row in mine) else "differ"
        lines.append([*key, f"{good} of {len(mine)}", *worst, bits])
    yield markdown(["projection", "dtype", "multiplied by", "right", *names, "bits"], lines)
    for why in dict.fromkeys(row["left out"] for row in measured if row["left out"]):
        yield f"- {_cell(why)}"
    for row in measured:
        if not row["ok"]:
            told = [
                f"{name}={row[name]}"
                for name in (*names, "bits", "fingerprint", "repeats", "replicas", "pieces", "nan")
            ]
            yield f"- wrong: {_case(row)}: {', '.join(told)}"


def _graphs(rows: Rows) -> Iterator[str]:
    yield "## A step captured as a CUDA graph"
    yield (
        f"784-200-200-10, a batch of {BATCH}, fused Adam; trained for {graphs.WARM_UP + graphs.STEPS} steps both ways: "
        "the deviation of what is trained is relative to the largest number."
    )
    columns = {
        "": "projection", "d": "dim", "D": "full_dim", "graph ÷ eager step": "graph", "eager step in ms": "eager_ms",
        "graph in ms": "graph_ms", "deviation": lambda row: f"{row['deviation']:.0e}", "same bits": "equal",
    }  # fmt: skip
    yield _plain(rows, columns)


def _pieces(rows: Rows) -> Iterator[str]:
    yield "## Gradients and θ₀ where they lie ÷ their concatenation"
    yield "Many tensors of one size; at first and at new addresses."
    columns = {
        "projection": "projection", "d": "dim", "D": "full_dim", "dtype": "dtype", "tensors": "tensors",
        "Pᵀ g": "adjoint", "Pᵀ g, new addresses": "new", "θ₀ + P z": "forward", "concatenated Pᵀ g in ms": "joined_ms",
        "same bits": "equal",
    }  # fmt: skip
    yield _plain(rows, columns)


def _half(rows: Rows) -> Iterator[str]:
    yield "## A model in bfloat16 beside float32"
    yield "Linear layers; held: the model, P and buffers; of a step: what it allocates at most. z is float32 in both."
    columns = {
        "projection": "projection", "d": "dim", "D": "full_dim", "held in MB": "held_mb", "bfloat16": "held_half_mb",
        "of a step in MB": "step_mb", "bfloat16 ": "step_half_mb", "less in all": "less",
        "step ÷ float32's": "step", "float32 step in ms": "float32_ms",
    }  # fmt: skip
    yield _plain(rows, columns)


def _draws(rows: Rows) -> Iterator[str]:
    yield "## P drawn on the device and on the CPU"
    columns = {
        "projection": "projection", "d": "dim", "D": "full_dim", "seconds": "seconds", "CPU, seconds": "cpu_seconds",
        "CPU ÷ device": "ratio", "on the device": "on the device", "same bits": "equal",
    }  # fmt: skip
    yield _plain(rows, columns)


def _ratios(rows: Rows) -> Iterator[str]:
    yield "## Products ÷ copying D floats, and the step in a subspace ÷ the full step"
    yield (
        f"Linear layers, a batch of {ratios.BATCH}, fused Adam; medians of turns, both sides of a ratio one after the "
        "other. Where P is not its own, it is one of the same form that was quicker to draw: for timing alone."
    )
    yield _plain(
        rows,
        {
            "projection": "projection", "d": "dim", "D": "full_dim", "θ₀ + P z ÷ copy": "forward",
            "Pᵀ g ÷ copy": "adjoint", "copy in ms": "copy_ms", "step ÷ full step": "step",
            "full step in ms": "full_step_ms", "P in MB": lambda row: row["bytes"] / 1e6, "own P": "own P",
        },
    )  # fmt: skip


def _replicas(rows: Rows) -> Iterator[str]:
    yield "## Runs a second"
    yield f"{rows[0]['data']}; a run has {replicas.RUN} epochs, batches of {fully_connected.BATCH}; Fastfood."
    columns: dict[str, Any] = {"at once": "replicas", "d": "dim", "D": "full_dim", "an epoch in s": "epoch_seconds"}
    yield _plain(rows, {**columns, "runs a second": "runs_a_second", "drawing all P in s": "drawing_seconds"})


def _minilm(rows: Rows) -> Iterator[str]:
    yield "## MiniLM beside PEFT"
    yield f"A step of 8 sequences of 64 tokens, medians of {minilm.TURNS['full']} turns."
    columns = {"": "what", "trainable parameters": "numbers", "step ÷ PEFT's LoRA": "step", "step in ms": "step_ms"}
    yield _plain(rows, {**columns, "tensors of a step in MB": "step_mb"})


def _curve(rows: Rows) -> Iterator[str]:
    latest = {row["dim"]: row for row in rows}
    yield "## The curve of the fully connected network"
    yield f"{rows[0]['data']}, as published but for Fastfood; all d side by side, the seeds of one d at once."
    columns = {
        "d": "dim", "epochs": lambda row: f"{row['epoch']} of {row['epochs']}", "seconds": "seconds",
        "test accuracy, mean": lambda row: f"{sum(row['test accuracy']) / len(row['test accuracy']):.4f}",
        "lowest": lambda row: f"{min(row['test accuracy']):.4f}",
        "highest": lambda row: f"{max(row['test accuracy']):.4f}",
    }  # fmt: skip
    yield _plain([latest[dim] for dim in sorted(latest)], columns)


_SECTIONS: dict[str, Callable[[Rows], Iterator[str]]] = {
    "kernels": _kernels, "graphs": _graphs, "pieces": _pieces, "half": _half, "draws": _draws, "ratios": _ratios,
    "replicas": _replicas, "minilm": _minilm, "curve": _curve,
}  # fmt: skip


def _plain(rows: Rows, columns: dict[str, Any]) -> str:
    lines = [
        [_number(get(row) if callable(get) else row[get]) for get in columns.values()]
        for row in rows
        if "reason" not in row
    ]
    return markdown(list(columns), lines)


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if isinstance(value, float) else _cell(str(value))


def _case(row: dict[str, Any]) -> str:
    keys = ("projection", "granularity", "dim", "full_dim", "dtype", "replicas")
    return ", ".join(f"{key} {row[key]}" for key in keys if key in row)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
