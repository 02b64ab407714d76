"""The scores of full fine-tuning when its update, or the pretrained weights, keep only rank k.

python run.py method=full study=STUDY               makes a run to cut
python -m experiments.truncate outputs/STUDY        a file truncate.safetensors beside its record
python -m analysis.truncation outputs/STUDY         draws it, beside the runs of LoRA in the study
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from experiments.finished.guess import guess
from experiments.finished.measure import Measurement, measure
from experiments.finished.reopen import TrainedRun
from experiments.terminal.progress import tracked
from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.layers.low_rank import kinds
from intrinsic.surgery.head import head_parameters
from intrinsic.surgery.targets import find_targets
from intrinsic.training.evaluate import evaluate

SPLITS = ("train", "validation", "test")
KEEP = {"all": "everything else", "head": "the head alone", "nothing": "nothing"}  # of what training did elsewhere


def truncate(
    run: TrainedRun,
    *,
    ranks: tuple[int, ...] = (),
    splits: tuple[str, ...] = ("validation", "test"),
    keep: str = "all",
    embeddings: str = "whole",
    draws: int = 1,
) -> Measurement:
    """Score theta_0 + dW after cutting the matrices of all layers that LoRA targets, each by its own SVD.

    With [M]_k the best rank-k approximation of M (Eckart & Young 1936), the score at each k of

    - `update`: W_0 + [dW]_k. Is what LoRA learns the head of this spectrum?
    - `pretrained`: [W_0]_k + dW, the whole update on a cut base: how many directions of W_0 does the task need?

    The layers are all linear ones but the head, and with `embeddings=cut` the embedding tables. `keep` says what else
    of training stays: `all` (biases, norms, embeddings, the head), the `head` alone (LoRA's case, where it trains one)
    or `nothing`. A matrix of min(outputs, inputs) <= k is whole. As a null, both with k singular triples drawn at
    random instead of the first k.

    Arrays, scores of the task's metric: `ranks` (n,), 0 and full included; `update`, `pretrained` (splits, n);
    `update_random`, `pretrained_random` (draws, splits, n). Cost: two SVDs of each matrix and about (2 + 2 draws) n
    evaluations of the splits. Options: without `ranks`, the powers of two; `draws` of the null, 0 for none.

    Raises:
        UserError: for an option out of range, or if no matrix has moved.

    Source: Hu et al. 2021, LoRA, arXiv:2106.09685, section 7.2, asks for the rank that an update needs.
    """
    _check(splits, keep, embeddings, draws)
    origin, weights = ({name: p.detach() for name, p in net.model.named_parameters()} for net in (run.start, run.net))
    trained = {name: value.clone() for name, value in weights.items()}
    targets = matrices(run.start.model, embeddings == "cut")
    moved = {name: trained[name].double() - origin[name].double() for name in targets}
    if not any(update.any() for update in moved.values()):
        raise UserError(f"none of the {len(targets)} matrices to cut has moved: their updates are zero")
    full = max(min(origin[name].shape) for name in targets)
    at = _ranks(ranks, full)
    kept = {"all": set(trained), "head": set(head_parameters(run.net.model)), "nothing": set[str]()}[keep]
    rest = {name: (trained if name in kept else origin)[name] for name in origin if name not in targets}
    bases = {name: origin[name].double() for name in targets}
    parts = {"update": (moved, bases), "pretrained": (bases, moved)}  # what is cut, and what it is added to
    factors = {kind: {name: Factors.of(part[name]) for name in targets} for kind, (part, _) in parts.items()}

    def score(kind: str, draw: int | None, k: int) -> list[float]:
        for number, name in enumerate(targets):
            seed = None if draw is None else rng.fan_out(draw, "directions", number)
            whole = k >= min(origin[name].shape)
            cut = trained[name] if whole else parts[kind][1][name] + factors[kind][name].first(k, seed)
            weights[name].copy_(cut)
        return [evaluate(run.net, run.task, getattr(run.task, split))[run.task.metric] for split in splits]

    for name, value in rest.items():
        weights[name].copy_(value)
    drawn = [None, *range(draws)]
    keys = {(kind, draw, k): (kind, draw if 0 < k < full else None, k) for kind in parts for draw in drawn for k in at}
    scores = {key: score(*key) for key in tracked(list(dict.fromkeys(keys.values())), "cuts")}
    curves = {
        (kind, draw): torch.tensor([scores[keys[kind, draw, k]] for k in at], dtype=torch.float64).T
        for kind in parts
        for draw in drawn
    }
    arrays = {"ranks": torch.tensor(at), **{kind: curves[kind, None] for kind in parts}}
    if draws:
        arrays |= {f"{kind}_random": torch.stack([curves[kind, draw] for draw in range(draws)]) for kind in parts}
    values = {
        "metric": run.task.metric,
        "splits": list(splits),
        "matrices": {name: list(origin[name].shape) for name in targets},
        "kept": KEEP[keep],
        "guess": {split: guess(run.task, getattr(run.task, split)).get(run.task.metric) for split in splits},
    }
    return values, arrays


class Factors(NamedTuple):
    """U (outputs, s), sigma (s,) and V^T (s, inputs) of a matrix."""

    left: Tensor
    values: Tensor
    right: Tensor

    @classmethod
    def of(cls, matrix: Tensor) -> "Factors":
        """Decompose a matrix (outputs, inputs)."""
        return cls(*torch.linalg.svd(matrix, full_matrices=False))

    def first(self, k: int, seed: int | None = None) -> Tensor:
        """The sum of the first k singular triples: (outputs, inputs). With a seed: of k random ones, nested in k."""
        some = np.arange(len(self.values)) if seed is None else rng.permutation(seed, len(self.values))
        which = torch.from_numpy(some[:k]).to(self.values.device)
        return (self.left[:, which] * self.values[which]) @ self.right[which]


def matrices(model: nn.Module, embeddings: bool) -> list[str]:
    """The weights of the layers that LoRA targets by default, and of embedding tables if they are asked for."""
    layers = list(find_targets(model, "all-linear", tuple(kinds())).values())
    layers += [module for module in model.modules() if isinstance(module, nn.Embedding) and embeddings]
    found = {id(layer.weight) for layer in layers}
    head = head_parameters(model)
    return [name for name, parameter in model.named_parameters() if id(parameter) in found and name not in head]


def _check(splits: tuple[str, ...], keep: str, embeddings: str, draws: int) -> None:
    for name, value, known in (
        *(("splits", split, SPLITS) for split in splits),
        ("keep", keep, tuple(KEEP)),
        ("embeddings", embeddings, ("whole", "cut")),
    ):
        if value not in known:
            raise UserError(f"need {name} to be {' or '.join(known)}, got {value}")
    if draws < 0:
        raise UserError(f"need draws >= 0, got draws={draws}")


def _ranks(asked: tuple[int, ...], full: int) -> list[int]:
    """The ranks to keep, with 0 and full."""
    if wrong := [k for k in asked if not 0 <= k <= full]:
        raise UserError(f"need 0 <= k <= {full}, the rank of the largest matrix, got ranks={wrong[0]}")
    powers = [2**i for i in range(full.bit_length()) if 2**i <= full]
    return sorted({0, *(asked or powers), full})


if __name__ == "__main__":
    measure(truncate, method="full")
