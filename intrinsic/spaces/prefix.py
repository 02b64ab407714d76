"""Virtual positions that every layer attends to."""

from dataclasses import dataclass, replace
from typing import Self

from torch import nn

from intrinsic import rng
from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.layers.attention_sites import attach, detach, find_attention, has_prefix, head_sizes
from intrinsic.layers.gated_prefix import GatedPrefix
from intrinsic.layers.reparametrised_prefix import ReparametrisedPrefix
from intrinsic.spaces.base import Space


@dataclass(frozen=True)
class Prefix(Space):
    """attention(Q, K, V) + tanh(gate) attention(Q, K', V') for trained K', V' and gate in every self-attention.

    The gate starts at 0, one for each head, so that the model starts as it was: keys of zero, under one softmax with
    the tokens, would still take their share of it. K' and V' of a layer have a row for each head of its keys and
    values, so that grouped-query models work; rotary positions turn Q alone. Attention of a decoder to an encoder has
    none. Any attention function of transformers and any cache of its goes with it.

    Source: Li & Liang 2021, arXiv:2101.00190, whose prefix shares one softmax with the tokens; the gate and the softmax
    of its own are those of Zhang et al. 2023, LLaMA-Adapter, arXiv:2303.16199, section 3.2.

    Args:
        length: how many virtual positions: 2 length kv_heads head_dim + heads numbers a layer.
        mlp: the width of a network for each layer that K' and V' are computed with while training (Li & Liang, section
            4.3). `merge` drops it, and so does `save` with the identity projection; None: K' and V' are trained.

    Examples:
        >>> import intrinsic
        >>> from intrinsic.models.vit import ViT
        >>> model = ViT((1, 8, 8), 10, patch=4, width=16, depth=1, heads=2, dropout=0.0)
        >>> intrinsic.Subspace(model, space=intrinsic.Prefix(length=5)).dim  # 2 * 5 * 16 + 2
        162
    """

    needs = ("attention",)
    merges = False

    length: int
    mlp: int | None = None

    def __post_init__(self) -> None:
        for name, value in {"length": self.length, "mlp": 1 if self.mlp is None else self.mlp}.items():
            integer(name, value, 1)

    def wire(self, model: nn.Module, *, seed: int) -> dict[str, nn.Parameter]:
        """Attach the prefixes and return their numbers: <attention>.prefix.gate, .key and .value."""
        sites = find_attention(model)
        if any(has_prefix(module) for module in sites.values()):
            raise UserError("the model already has prefixes, which cannot be merged away: use a fresh one")
        like = next(p for p in model.parameters() if p.is_floating_point()).detach()
        prefixes: dict[str, GatedPrefix] = {}
        for name, module in sites.items():
            near = next((p.detach() for p in module.parameters() if p.is_floating_point()), like)
            sizes, here = (*head_sizes(name, module), self.length), rng.fan_out(seed, name)
            prefix = (
                GatedPrefix(*sizes, like=near, seed=here)
                if self.mlp is None
                else ReparametrisedPrefix(*sizes, width=self.mlp, like=near, seed=here)
            )
            prefixes[name] = prefix.train(module.training)
        for name, prefix in prefixes.items():
            attach(sites[name], prefix)
        return {
            f"{name}.prefix.{key}": parameter
            for name, prefix in prefixes.items()
            for key, parameter in prefix.named_parameters()
        }

    def unwire(self, model: nn.Module) -> None:
        """Take the prefixes away."""
        for module in list(model.modules()):
            if has_prefix(module):
                detach(module)

    def merge(self, model: nn.Module) -> None:
        """Turn what a network computes into numbers of their own; prefixes stay, for no weight can hold them."""
        for module in list(model.modules()):
            prefix = getattr(module, "prefix", None)
            if isinstance(prefix, ReparametrisedPrefix):
                attach(module, prefix.plain())

    @property
    def settles(self) -> bool:
        """Whether there is a network to do without."""
        return self.mlp is not None

    def settle(self, model: nn.Module) -> Self:
        """The same, and the space without the network."""
        if self.mlp is None:
            return self
        self.merge(model)
        return replace(self, mlp=None)
