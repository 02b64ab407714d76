"""A step of MiniLM with LoRA and in a subspace beside PEFT's LoRA, in turns."""

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

import intrinsic
from benchmarks import peft_step
from benchmarks.step_memory import step_peak_mb
from benchmarks.timing import seconds

DIM = 1000
TURNS = {"full": peft_step.TURNS, "tiny": 1}


def measure(device: torch.device, scale: str) -> Iterator[dict[str, Any]]:
    """One row for each: its numbers, its step as a ratio to PEFT's, and the memory that the step takes."""
    sides: dict[str, Callable[[], nn.Module]] = {
        "PEFT, LoRA": lambda: peft_step.peft(device),
        "ours, LoRA": lambda: peft_step.ours(device),
        "ours, subspace (fastfood)": lambda: _subspace(intrinsic.Fastfood, device),
        "ours, subspace (onehot)": lambda: _subspace(intrinsic.OneHot, device),
        "all weights": lambda: intrinsic.Subspace(peft_step.encoder().to(device)),
    }
    if scale == "tiny":
        sides = dict(list(sides.items())[:2])
    nets = {name: make() for name, make in sides.items()}
    steps = {name: peft_step.stepper(net) for name, net in nets.items()}
    for step in steps.values():
        step()  # compiles, allocates
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(TURNS[scale]):
        for name in list(steps)[:: -1 if turn % 2 else 1]:
            times[name].append(seconds(steps[name], 1))
    base = times["PEFT, LoRA"]
    for name, net in nets.items():
        ratio = statistics.median(own / peft for own, peft in zip(times[name], base, strict=True))
        numbers = sum(p.numel() for p in peft_step.trained(net))
        milliseconds, peak = 1e3 * statistics.median(times[name]), step_peak_mb(steps[name], device)
        yield {"what": name, "numbers": numbers, "step": ratio, "step_ms": milliseconds, "step_mb": peak}


def _subspace(kind: type[intrinsic.Fastfood] | type[intrinsic.OneHot], device: torch.device) -> nn.Module:
    return intrinsic.Subspace(peft_step.encoder().to(device), projection=kind, dim=DIM)
