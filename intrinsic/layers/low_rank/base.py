"""The base of all layers with a low-rank update."""

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.surgery.added_module import beside, exactly, wide_like
from intrinsic.surgery.torch_internals import own_parameters
from intrinsic.surgery.wrapper import Wrapper


class LowRank(Wrapper):
    """A layer and the factors of its update: out(x) + s B (A x), which is out(x) as long as A or B is zero.

    `weight` is the effective W + s B A, rounded once to the precision of W, for code that reads a layer's weight
    instead of calling it. What the layer returns has the dtype that it has without the update.

    Args:
        base: the layer.
        scaling: s.
        dropout: the chance with which each input of A, and not of the layer, is dropped in training.
    """

    is_see_through = True

    lora_A: Tensor  # noqa: N815
    lora_B: Tensor  # noqa: N815
    scaling: float
    lora_dropout: float
    room: int | None = None  # the largest rank that the matrix allows

    def __init__(self, base: nn.Module, scaling: float, dropout: float = 0.0, **own: Any) -> None:
        super().__init__(base, scaling=scaling, lora_dropout=dropout, **own)
        self.narrow = self.target.dtype

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
        """W + s B A, in the precision of W."""
        target = self.target
        with exactly(target.device):
            return (target + self.delta()).to(target.dtype)

    @weight.setter
    def weight(self, value: Any) -> None:
        raise UserError("the weight of a layer with an update is W + s B A: set W itself, `layer.base.weight`")

    def constants(self) -> dict[str, Any]:
        """S."""
        return {"scaling": float(self.scaling)}

    def extra_repr(self) -> str:
        """What `print` shows of it."""
        return f"scaling={float(self.scaling):g}, dropout={self.lora_dropout:g}"

    def _hold(self, A: Tensor, B: Tensor) -> None:
        like = wide_like(self.target)
        for name, factor in (("lora_A", A), ("lora_B", B)):
            own_parameters(self)[name] = nn.Parameter(factor.to(like))  # the base may have its own of this name

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.lora_dropout) if self.training and self.lora_dropout else x

    def _add(self, out: Tensor, inner: Tensor) -> Tensor:
        """Out + s B inner in one product: out (..., width), inner (..., r), which has as many rows."""
        B = beside(self.lora_B, inner)
        rows = torch.addmm(out.reshape(-1, out.shape[-1]), inner.flatten(0, -2), B.t(), alpha=self.scaling)
        return rows.view(out.shape).to(out.dtype)


def kaiming(seed: int, *shape: int) -> Tensor:
    """Kaiming-uniform with a = sqrt(5), as nn.Linear and LoRA's code: U(-b, b), b = 1 / sqrt(fan in)."""
    uniform = rng.uniforms(seed, prod(shape)).reshape(shape)
    return torch.from_numpy((2 * uniform - 1) / np.sqrt(prod(shape[1:])))


def check_rank(rank: int, rows: int, columns: int) -> int:
    """Check that a matrix has room for factors of this rank, and return the largest one.

    Raises:
        UserError: if the rank is larger than its smaller side.
    """
    if rank > min(rows, columns):
        raise UserError(
            f"need rank <= {min(rows, columns)} for a matrix of {rows} x {columns}, got rank={rank}: lower it, or give "
            "the layer a rank of its own in rank_pattern"
        )
    return min(rows, columns)
