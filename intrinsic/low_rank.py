"""Layers with a low-rank update beside their weight: W + s B A."""

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import is_parametrized

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.int8 import Int8


class LowRank(nn.Module):
    """A layer and the factors of its update: out(x) + s B (A x), which is out(x) as long as A or B is zero.

    `weight` is the effective W + s B A, for code that reads a layer's weight instead of calling it.
    """

    def __init__(self, base: nn.Module, scaling: float, A: Tensor, B: Tensor) -> None:
        super().__init__()
        weight = base.weight
        assert isinstance(weight, Tensor)
        self.base, self.scaling = base, scaling
        self.lora_A = nn.Parameter(A.to(weight))
        self.lora_B = nn.Parameter(B.to(weight))

    def delta(self) -> Tensor:
        """S B A in the shape of the weight."""
        raise AssertionError("each kind of layer has its own")

    @property
    def weight(self) -> Tensor:
        """W + s B A."""
        return self.base.weight + self.delta()  # type: ignore[operator]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("__"):
                raise  # Python's own protocols, such as __deepcopy__, are about this object
            return getattr(super().__getattr__("base"), name)  # bias, in_features, stride, ...


class LowRankLinear(LowRank):
    """nn.Linear: A (r, in), B (out, r)."""

    def __init__(self, base: nn.Linear, rank: int, scaling: float, seed: int) -> None:
        super().__init__(base, scaling, _kaiming(seed, rank, base.in_features), torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return self.base(x) + self.scaling * F.linear(F.linear(x, self.lora_A), self.lora_B)

    def delta(self) -> Tensor:
        """S B A: (out, in)."""
        return self.scaling * (self.lora_B @ self.lora_A)


class LowRankConv2d(LowRank):
    """nn.Conv2d: A (r, in, kh, kw) with the layer's stride and padding, B (out, r, 1, 1)."""

    base: nn.Conv2d

    def __init__(self, base: nn.Conv2d, rank: int, scaling: float, seed: int) -> None:
        if base.groups != 1:
            raise UserError(f"LoRA needs convolutions with groups=1, got groups={base.groups}: leave it out of targets")
        A = _kaiming(seed, rank, base.in_channels, *base.kernel_size)
        super().__init__(base, scaling, A, torch.zeros(base.out_channels, rank, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h', w')."""
        inner = self.base._conv_forward(x, self.lora_A, None)  # stride, padding and its mode as in the layer
        return self.base(x) + self.scaling * F.conv2d(inner, self.lora_B)

    def delta(self) -> Tensor:
        """S B A: (out, in, kh, kw)."""
        return self.scaling * torch.einsum("or,rihw->oihw", self.lora_B[..., 0, 0], self.lora_A)


class LowRankEmbedding(LowRank):
    """nn.Embedding: A (r, tokens) zero, B (width, r) normal: here A is the zero factor, as in LoRA's own code.

    The padding token has no update, as it has no gradient in the layer.
    """

    def __init__(self, base: nn.Embedding, rank: int, scaling: float, seed: int) -> None:
        width = base.embedding_dim
        B = torch.from_numpy(rng.normals(seed, width * rank).reshape(width, rank))
        super().__init__(base, scaling, torch.zeros(rank, base.num_embeddings), B)

    def forward(self, tokens: Tensor) -> Tensor:
        """(...) -> (..., width)."""
        return self.base(tokens) + self.scaling * F.linear(F.embedding(tokens, self._factor().T), self.lora_B)

    def delta(self) -> Tensor:
        """S (B A)^T: (tokens, width)."""
        return self.scaling * (self.lora_B @ self._factor()).T

    def _factor(self) -> Tensor:
        padding = self.base.padding_idx
        if padding is None:
            return self.lora_A
        assert isinstance(padding, int)
        return self.lora_A.index_fill(1, torch.tensor(padding, device=self.lora_A.device), 0.0)


LAYERS: dict[type[nn.Module], Any] = {
    nn.Linear: LowRankLinear,
    nn.Conv2d: LowRankConv2d,
    nn.Embedding: LowRankEmbedding,
}


def low_rank(base: nn.Module, rank: int, scaling: float, *, seed: int) -> LowRank:
    """The wrapper for this kind of layer: nn.Linear, nn.Conv2d, nn.Embedding, or a subclass with the same forward.

    Raises:
        UserError: if the layer computes something else, for which W + s B A would not be its update.
    """
    kind, wrapper = next((kind, wrapper) for kind, wrapper in LAYERS.items() if isinstance(base, kind))
    reasons = {
        "a forward of its own": type(base).forward is not kind.forward and not isinstance(base, Int8),
        "a parametrised weight": is_parametrized(base),
        "hooks before its forward": bool(base._forward_pre_hooks),
        "a max_norm": getattr(base, "max_norm", None) is not None,
    }
    for reason, holds in reasons.items():
        if holds:
            raise UserError(f"LoRA cannot update a {type(base).__name__} with {reason}: leave it out of targets")
    layer: LowRank = wrapper(base, rank, scaling, seed)
    return layer


def _kaiming(seed: int, *shape: int) -> Tensor:
    """Kaiming-uniform with a = sqrt(5), as nn.Linear and LoRA's code: U(-b, b), b = 1 / sqrt(fan in)."""
    uniform = rng.uniforms(seed, prod(shape)).reshape(shape)
    return torch.from_numpy((2 * uniform - 1) / np.sqrt(prod(shape[1:])))
