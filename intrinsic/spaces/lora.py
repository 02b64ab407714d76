"""Low-rank updates of chosen layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import torch
from torch import nn

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.inject import find_targets, swap
from intrinsic.low_rank import LAYERS, LowRank, low_rank
from intrinsic.spaces.base import Space


@dataclass(frozen=True)
class LoRA(Space):
    """The factors of W + s B A for each target; s = alpha / rank, or alpha / sqrt(rank) with `rslora`.

    A is Kaiming-uniform and B zero (embeddings: A zero, B normal). Source: Hu et al. 2021, arXiv:2106.09685, equation
    3; rslora: Kalajdzievski 2023, arXiv:2312.03732.

    Args:
        rank: r, the inner size of the factors.
        alpha: the numerator of the scale.
        targets: nn.Linear, nn.Conv2d and nn.Embedding modules; a string is a regular expression for the full name, a
            list holds dotted suffixes, "all-linear" is every nn.Linear but the head.
        rslora: rank-stabilised scaling.
    """

    rank: int
    alpha: float = 8.0
    targets: str | Sequence[str] = "all-linear"
    rslora: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.rank, bool) or not isinstance(self.rank, Integral) or self.rank < 1:
            raise UserError(f"need an integer rank >= 1, got rank={self.rank}")
        if isinstance(self.alpha, bool) or not isinstance(self.alpha, Real) or not self.alpha > 0:
            raise UserError(f"need alpha > 0, got alpha={self.alpha}")
        if not isinstance(self.rslora, bool):
            raise UserError(f"need rslora to be true or false, got rslora={self.rslora}")
        suffixes = [self.targets] if isinstance(self.targets, str) else self.targets
        if not isinstance(suffixes, Sequence) or not all(isinstance(suffix, str) for suffix in suffixes):
            raise UserError(f"need targets as a name or a list of names, or all-linear, got targets={self.targets}")

    def wire(self, model: nn.Module, *, seed: int) -> dict[str, nn.Parameter]:
        """Wrap the targets and return their factors: <module>.lora_A, <module>.lora_B."""
        if any(isinstance(module, LowRank) for module in model.modules()):
            raise UserError("the model already has LoRA layers: merge them first")
        scaling = float(self.alpha / (self.rank**0.5 if self.rslora else self.rank))
        wrappers = {
            name: (module, low_rank(module, self.rank, scaling, seed=rng.fan_out(seed, name)))
            for name, module in find_targets(model, self.targets, tuple(LAYERS)).items()
        }
        for module, wrapper in wrappers.values():
            swap(model, module, wrapper)
        return {
            f"{name}.{factor}": getattr(wrapper, factor)
            for name, (_, wrapper) in wrappers.items()
            for factor in ("lora_A", "lora_B")
        }

    def unwire(self, model: nn.Module) -> None:
        """Put the wrapped layers back, without their updates."""
        for layer in [module for module in model.modules() if isinstance(module, LowRank)]:
            swap(model, layer, layer.base)

    def merge(self, model: nn.Module) -> None:
        """Add the updates to the weights and put the plain layers back: no added latency.

        Raises:
            UserError: if another layer shares an updated weight, which would change with it.
        """
        layers = [module for module in model.modules() if isinstance(module, LowRank)]
        owners = [id(p) for module in model.modules() for p in module.parameters(recurse=False)]
        for layer in layers:
            if owners.count(id(layer.base.weight)) > 1:
                raise UserError("cannot merge: a LoRA target shares its weight with another layer; untie it first")
        with torch.no_grad():
            for layer in layers:
                layer.base.weight += layer.delta()  # type: ignore[operator]
        self.unwire(model)
