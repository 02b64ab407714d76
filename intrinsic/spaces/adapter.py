"""Bottlenecks between a model's layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import torch
from torch import nn

from intrinsic import rng
from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.layers.adapter_layer import ACTIVATIONS, AdapterLayer
from intrinsic.layers.adapter_places import adapter_places
from intrinsic.spaces.base import Space
from intrinsic.surgery.tree import swap, unwrap

PLACEMENTS = ("houlsby", "pfeiffer")


@dataclass(frozen=True)
class Adapter(Space):
    """h + U f(D h + a) + b behind layers of a transformer, before the residual is added; U and b start at 0.

    Normalisation stays frozen; in the source it is trained with them. Source: Houlsby et al. 2019, arXiv:1902.00751;
    pfeiffer: Pfeiffer et al. 2021, arXiv:2005.00247, section 5 (theirs has a LayerNorm's place to choose, too).

    Args:
        bottleneck: the inner size m: 2 m width + m + width numbers a layer.
        placement: behind the output of self-attention and the feed-forward ("houlsby"), or the feed-forward alone
            ("pfeiffer"): the last linear layer, or the experts, of each branch that is added to its input, found by a
            call of the model on made-up inputs (see `intrinsic.surgery.dataflow`); none behind cross-attention.
        activation: f: gelu, relu, silu or tanh.
        targets: instead of the placement, linear layers by name; a string is a regular expression for the full name, a
            list holds dotted suffixes, "all-linear" is every nn.Linear but the head.

    Examples:
        >>> import torch, intrinsic
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.Linear(8, 2))
        >>> space = intrinsic.Adapter(bottleneck=3, targets=["0"])
        >>> intrinsic.Subspace(model, space=space).dim  # 2 * 3 * 8 + 3 + 8
        59
    """

    constants = ("activation",)
    needs = ("attention",)
    merges = False

    bottleneck: int
    placement: Literal["houlsby", "pfeiffer"] = "houlsby"
    activation: str = "gelu"
    targets: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        integer("bottleneck", self.bottleneck, 1)
        if self.placement not in PLACEMENTS:
            raise UserError(f"need placement={' or '.join(PLACEMENTS)}, got placement={self.placement}")
        if self.activation not in ACTIVATIONS:
            raise UserError(f"need activation={' or '.join(ACTIVATIONS)}, got activation={self.activation}")
        suffixes = [self.targets] if isinstance(self.targets, str) else self.targets or []
        if not isinstance(suffixes, Sequence) or not all(isinstance(suffix, str) for suffix in suffixes):
            raise UserError(f"need targets as a name, a list of names or null, got targets={self.targets}")

    def wire(self, model: nn.Module, *, seed: int) -> dict[str, nn.Parameter]:
        """Wrap the layers and return the adapters' numbers: <module>.adapter_down, and so on."""
        if any(isinstance(module, AdapterLayer) for module in model.modules()):
            raise UserError("the model already has adapters, which cannot be merged away: use a fresh one")
        wrappers: dict[str, tuple[nn.Module, AdapterLayer]] = {}
        for name, (module, size) in adapter_places(model, self.placement, self.targets).items():
            numbers = (t for t in chain(module.parameters(), module.buffers()) if t.is_floating_point())
            like = next(numbers, torch.empty(0)).detach()
            seed_here = rng.fan_out(seed, name)
            wrappers[name] = (
                module,
                AdapterLayer(module, size, self.bottleneck, self.activation, like=like, seed=seed_here),
            )
        for module, adapted in wrappers.values():
            swap(model, module, adapted)
        return {
            f"{name}.{key}": parameter
            for name, (_, adapted) in wrappers.items()
            for key, parameter in adapted.named_parameters(recurse=False)
        }

    def unwire(self, model: nn.Module) -> None:
        """Put the wrapped layers back."""
        unwrap(model, AdapterLayer)
