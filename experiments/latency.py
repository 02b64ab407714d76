"""The time that inference takes with each method, merged and not, beside the base model in the same minutes.

python -m experiments.latency outputs/STUDY         a file latency.safetensors beside each method's record
python -m analysis.latency outputs/STUDY            draws them
"""

import copy
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from experiments.finished.measure import Measurement, measure
from experiments.finished.reopen import TrainedRun
from intrinsic.errors import UserError

TURN, MANY = 0.05, 100  # seconds of a turn, and calls in it


def latency(
    run: TrainedRun,
    *,
    batches: tuple[int, ...] = (1, 8),
    lengths: tuple[int, ...] = (32, 128),
    repeats: int = 5,
    copies: int = 5,
) -> Measurement:
    """Time forward passes without gradients, the base model and the run's in turns.

    Array `<batch>x<length>/<side>` (copies * repeats,): milliseconds a call, see `in_turns`. `repeats` turns with each
    of `copies` copies of the models: on some machines times depend on where in memory weights come to lie.

    Sides: `base`, the plain model; `merged`, the trained one in the same architecture, where the method has one;
    `unmerged`, the trained one as it trains (LoRA's factors, adapters, prefixes; a subspace adds theta_0 + P z in each
    call), unless that is the same. Texts are random tokens, all in use; other inputs are test examples, which have no
    length: 0, whatever `lengths` is.

    Source: the form of Hu et al. 2021, arXiv:2106.09685, table 1.

    Raises:
        UserError: unless all numbers are >= 1 and no length is above what the model reads.
    """
    for name, given in (("batches", batches), ("lengths", lengths), ("repeats", (repeats,)), ("copies", (copies,))):
        if min(given) < 1:
            raise UserError(f"need {name} >= 1, got {name}={' '.join(map(str, given))}")
    base = run.setup.model().to(run.device).eval()
    sides = _sides(run, base)
    text = run.setup.reader.reads_text
    longest = _longest(base) if text else None
    if longest is not None and max(lengths) > longest:
        raise UserError(f"the model reads at most {longest} tokens, got lengths={' '.join(map(str, lengths))}")
    turns: dict[str, list[Tensor]] = {}
    for _ in range(copies):
        models = [copy.deepcopy(side) for side in sides.values()]
        for batch in batches:
            for length in lengths if text else (0,):
                inputs = tokens(base, batch, length).to(run.device) if text else _examples(run, batch)
                times = in_turns([_caller(model, inputs) for model in models], repeats)
                for name, row in zip(sides, times, strict=True):
                    turns.setdefault(f"{batch}x{length}/{name}", []).append(1e3 * row)
    arrays = {name: torch.cat(rows) for name, rows in turns.items()}
    told: dict[str, Any] = {
        "method": run.record.method,
        "numbers": run.record.numbers,
        "threads": torch.get_num_threads(),
    }
    told["load"] = os.getloadavg()[0] / (os.cpu_count() or 1)  # processes that want a core, for each core
    device = torch.cuda.get_device_name(run.device) if run.device.type == "cuda" else "cpu"
    total = sum(p.numel() for p in base.parameters())
    return {**told, "device": device, "parameters": total, "text": text}, arrays


def in_turns(calls: Sequence[Callable[[], object]], repeats: int) -> Tensor:
    """Seconds of each call in each turn: (calls, repeats) float64.

    A turn calls them one after another, once or, where they are short, up to `MANY` times in `TURN` seconds, and takes
    each one's median: a call in which the machine does something else is no part of it.
    """
    for call in calls:
        call()  # compiles, allocates
    alone = min(_seconds(calls[0]) for _ in range(3))
    times = torch.zeros(repeats, min(MANY, max(1, round(TURN / alone / len(calls)))), len(calls), dtype=torch.float64)
    for number, row in enumerate(times.flatten(0, 1)):
        for side in range(len(calls)) if number % 2 == 0 else reversed(range(len(calls))):
            row[side] = _seconds(calls[side])
    return times.quantile(0.5, dim=1).T.contiguous()


def tokens(model: Any, batch: int, length: int) -> Tensor:
    """Random tokens for a model of `intrinsic.models.hf`: (batch, 2, length) int32, the end of text last."""
    config = model.config.get_text_config()
    generator = torch.Generator().manual_seed(0)
    ends = [config.eos_token_id] if isinstance(config.eos_token_id, int) else config.eos_token_id or []
    usual = torch.tensor([token for token in range(config.vocab_size // 2, config.vocab_size) if token not in ends])
    ids = usual[torch.randint(len(usual), (batch, length), generator=generator)]
    if ends:
        ids[:, -1] = ends[0]
    return torch.stack([ids, torch.zeros_like(ids)], dim=1).int()


def _sides(run: TrainedRun, base: nn.Module) -> dict[str, nn.Module]:
    net = run.net.eval()
    merged = net.merge().eval()
    sides: dict[str, nn.Module] = {"base": base}
    plain = list(base.state_dict()) == list(merged.state_dict())
    if plain:
        sides["merged"] = merged
    if not plain or list(net.model.state_dict()) != list(base.state_dict()) or hasattr(net, "z"):
        sides["unmerged"] = net
    return sides


def _longest(model: Any) -> int | None:
    """How many tokens a model has positions for; some keep the first few of them for padding."""
    longest: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    tables = [m for name, m in model.named_modules() if name.endswith("position_embeddings")]
    kept = [table.padding_idx + 1 for table in tables if getattr(table, "padding_idx", None) is not None]
    return None if longest is None else longest - max(kept, default=0)


def _examples(run: TrainedRun, batch: int) -> Tensor:
    """The first test examples, again from the start where there are too few."""
    inputs = run.task.test.inputs
    return inputs[torch.arange(batch, device=inputs.device) % len(inputs)]


def _caller(net: nn.Module, inputs: Tensor) -> Callable[[], None]:
    def call() -> None:
        with torch.no_grad():
            net(inputs)
        if inputs.is_cuda:
            torch.cuda.synchronize(inputs.device)

    return call


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    measure(latency, seeds=False)
