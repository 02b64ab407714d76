"""What all layers with a low-rank update share."""

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intrinsic import rng
from intrinsic.errors import UserError


class LowRank(nn.Module):
    """A layer and the factors of its update: out(x) + s B (A x), which is out(x) as long as A or B is zero.

    `weight` is the effective W + s B A, for code that reads a layer's weight instead of calling it.

    Args:
        base: the layer.
        scaling: s.
        dropout: the chance with which each input of A, and not of the layer, is dropped in training.
    """

    lora_A: Tensor  # noqa: N815
    lora_B: Tensor  # noqa: N815

    def __init__(self, base: nn.Module, scaling: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.base, self.scaling, self.lora_dropout = base, scaling, dropout

    @property
    def target(self) -> nn.Parameter:
        """W: the layer's own weight, to which the update is added."""
        weight = self.base.weight
        assert isinstance(weight, Tensor)
        return weight  # type: ignore[return-value]  # a tensor stands there while a subspace is called

    def delta(self) -> Tensor:
        """S B A in the shape of the weight."""
        raise AssertionError("each kind of layer has its own")

    @property
    def weight(self) -> Tensor:
        """W + s B A."""
        return self.target + self.delta()

    def _hold(self, A: Tensor, B: Tensor) -> None:
        self.lora_A, self.lora_B = (nn.Parameter(factor.to(self.target)) for factor in (A, B))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.lora_dropout) if self.training and self.lora_dropout else x

    def _add(self, out: Tensor, inner: Tensor) -> Tensor:
        """Out + s B inner in one product: out (..., width), inner (..., r), which has as many rows."""
        rows = torch.addmm(out.reshape(-1, out.shape[-1]), inner.flatten(0, -2), self.lora_B.t(), alpha=self.scaling)
        return rows.view(out.shape)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("__"):
                raise  # Python's own protocols, such as __deepcopy__, are about this object
            return getattr(super().__getattr__("base"), name)  # bias, in_features, stride, ...


def kaiming(seed: int, *shape: int) -> Tensor:
    """Kaiming-uniform with a = sqrt(5), as nn.Linear and LoRA's code: U(-b, b), b = 1 / sqrt(fan in)."""
    uniform = rng.uniforms(seed, prod(shape)).reshape(shape)
    return torch.from_numpy((2 * uniform - 1) / np.sqrt(prod(shape[1:])))


def check_rank(rank: int, rows: int, columns: int) -> None:
    """Check that a matrix has room for factors of this rank.

    Raises:
        UserError: if the rank is larger than its smaller side.
    """
    if rank > min(rows, columns):
        raise UserError(
            f"need rank <= {min(rows, columns)} for a matrix of {rows} x {columns}, got rank={rank}: lower it, or give "
            "the layer a rank of its own in rank_pattern"
        )
