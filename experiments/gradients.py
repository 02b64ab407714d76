"""The gradient of one batch at theta_0, before any training: the singular values of that of each weight matrix.

python -m experiments.gradients outputs/STUDY       a file gradients.safetensors beside one record of each theta_0
python -m analysis.choose outputs/STUDY             recommends rank, matrices and learning rate from it
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from experiments.finished.measure import Measurement, measure
from experiments.finished.reopen import TrainedRun
from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.layers.low_rank import kinds
from intrinsic.surgery.head import find_head, under
from intrinsic.tasks.batches import batches
from intrinsic.tasks.task import Task

CHUNK = 32  # examples in memory at once


def gradients(run: TrainedRun, *, examples: int = 256, keep: int = 64) -> Measurement:
    """Decompose G = dL/dW at theta_0 of each weight W of two or more axes, (m, n) with all further axes as inputs.

    L is the mean loss over `examples` training examples, over their tokens where these are predicted; the examples are
    drawn by the run's seed. In evaluation mode: no dropout, and no L2 term. Of all dW with rank r and ||dW||_F <= e,
    that which lowers L most to first order is -e G_r / ||G_r||_F, G_r the best approximation of rank r:
    <G, dW> >= -sum_i sigma_i(G) sigma_i(dW) (von Neumann), and Cauchy-Schwarz over the r values of dW that
    are not zero. L falls by e sqrt(sigma_1^2 + ... + sigma_r^2), for r (m + n) trained numbers. Arrays of a
    weight, s = min(m, n), k = min(keep, s):

    - `<weight>/values` (s,): sigma of G, in falling order;
    - `<weight>/share` (k,): (sigma_1^2 + ... + sigma_r^2) / ||G||_F^2 at r = 1..k;
    - `<weight>/gain` (k,): sqrt(sigma_1^2 + ... + sigma_r^2) / (r (m + n)), loss by unit of ||dW||_F and by number;
    - `<weight>/half_gain` (2, k): the same of the two halves of the examples, each by itself.

    Values: loss; of each weight shape, energy ||G||_F^2 and kind: `matrix`, what LoRA fits in a layer other than head
    and embeddings, `embedding`, `head` or `other`. A new head is random at theta_0, and what G says passes through it.

    Cost: one forward and backward pass over the examples, three decompositions of each G.

    Raises:
        UserError: if `examples` is not in [2, training examples], or the loss or a gradient is not finite.

    Source: the gradient's singular vectors as directions of LoRA: Wang et al. 2024, LoRA-GA, arXiv:2407.05000, section
    3; that gradients have low rank: Zhao et al. 2024, GaLore, arXiv:2403.03507. They begin from G, we only measure it.
    """
    model = copy.deepcopy(run.start.model)
    run.start.space.unwire(model)  # the original architecture at theta_0, whatever the method
    halves = _halves(run, examples)
    counts = [_count(run.task, run.task.train.select(half).targets) for half in halves]
    weight = [count / max(1, sum(counts)) for count in counts]  # of each half in the mean
    losses, found = zip(*(_gradient(model.eval(), run.task, half) for half in halves), strict=True)
    weights: dict[str, Any] = {}
    arrays: dict[str, Tensor] = {}
    for name, kind in _kinds(model).items():
        parts = [gradient[name].double() for gradient in found]
        whole = decompose(weight[0] * parts[0] + weight[1] * parts[1], keep)
        whole["half_gain"] = torch.stack([decompose(part, keep)["gain"] for part in parts])
        arrays |= {f"{name}/{key}": value.float() for key, value in whole.items()}
        energy = whole["values"].square().sum().item()
        weights[name] = {"shape": list(parts[0].shape), "kind": kind, "energy": energy}
    return {"weights": weights, "loss": weight[0] * losses[0] + weight[1] * losses[1]}, arrays


def decompose(gradient: Tensor, keep: int) -> dict[str, Tensor]:
    """The arrays of one weight, see `gradients`: of G (m, n), float64."""
    m, n = gradient.shape
    rows, columns = gradient.any(1), gradient.any(0)  # zero for words that the batch has not: no part in the values
    found = torch.linalg.svdvals(gradient[rows][:, columns])
    values = torch.zeros(min(m, n), dtype=gradient.dtype, device=gradient.device)
    values[: len(found)] = found
    energy = values.square().cumsum(0)
    top = energy[:keep]
    numbers = torch.arange(1, len(top) + 1, device=gradient.device) * (m + n)
    return {
        "values": values,
        "share": top / energy[-1] if energy[-1] > 0 else torch.zeros_like(top),
        "gain": top.sqrt() / numbers,
    }


def _halves(run: TrainedRun, examples: int) -> tuple[Tensor, ...]:
    """Two disjoint draws of training examples, each sorted by length where examples have lengths."""
    split = run.task.train
    if not 2 <= examples <= len(split):
        raise UserError(f"need 2 <= examples <= {len(split)}, the training examples, got examples={examples}")
    seed = rng.fan_out(run.setup.seed, "gradients")
    drawn = torch.from_numpy(rng.permutation(seed, len(split)))[:examples].split(-(-examples // 2))
    lengths = split.lengths
    return drawn if lengths is None else tuple(some[lengths[some].argsort()] for some in drawn)


def _count(task: Task, targets: Tensor) -> int:
    """How many the loss is the mean over: examples or, where they are predicted, tokens."""
    return len(targets) if task.tokens is None else int(task.tokens(targets).sum())


def _gradient(model: nn.Module, task: Task, order: Tensor) -> tuple[float, dict[str, Tensor]]:
    """The mean loss over the examples, and its gradient by each weight of two or more axes, (m, n)."""
    weights = {name: parameter for name, parameter in model.named_parameters() if parameter.ndim > 1}
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.ndim > 1)
        parameter.grad = None
    total, whole = 0.0, max(1, _count(task, task.train.select(order).targets))
    for inputs, targets in batches(task.train, order, CHUNK):
        loss = task.loss(model(inputs), targets) * (_count(task, targets) / whole)
        loss.backward()
        total += loss.item()
    found = {name: torch.zeros_like(w) if w.grad is None else w.grad for name, w in weights.items()}
    bad = [name for name, gradient in found.items() if not gradient.isfinite().all()]
    if bad:
        raise UserError(
            f"the gradient of {bad[0]} at theta_0 is not finite, the loss {total:.3g}: nothing to decompose"
        )
    return total, {name: gradient.flatten(1) for name, gradient in found.items()}


def _kinds(model: nn.Module) -> dict[str, str]:
    """What each weight of two or more axes is: matrix, embedding, head or other."""
    head = find_head(model)
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            owner = model.get_submodule(name.rpartition(".")[0])
            if under(name, head):
                found[name] = "head"
            elif isinstance(owner, nn.Embedding):
                found[name] = "embedding"
            else:
                fits = isinstance(owner, (*kinds(), nn.MultiheadAttention))
                found[name] = "matrix" if fits else "other"
    return found


if __name__ == "__main__":
    measure(gradients, seeds=("dataset", "init", "model", "tokenizer"))
