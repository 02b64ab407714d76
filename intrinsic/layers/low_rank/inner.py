"""W + s U R V between frozen U and V of the weight itself."""

import sys
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.layers.low_rank.base import LowRank, check_rank
from intrinsic.layers.low_rank.conv1d import LowRankConv1D
from intrinsic.layers.low_rank.linear import LowRankLinear
from intrinsic.layers.low_rank.truncated_svd import truncated_svd
from intrinsic.surgery.added_module import wide_like
from intrinsic.surgery.sharding import is_sharded


class Inner(LowRank):
    """A layer with an update s U R V: R (r, r) is trained, U (out, r) and V (r, in) are the weight's singular vectors.

    As an update of its kind, A = V and B = U R. U and V are computed from the weight when the layer is wrapped, and
    again when a state dict is loaded; they are in none.

    Args:
        base: the layer.
        rank: r.
        scaling: s.
        singular: the side that the singular values are on: "output", U Sigma and V, or "input", U and Sigma V.
        dropout: as in `LowRank`.
    """

    lora_R: Tensor  # noqa: N815
    lora_U: Tensor  # noqa: N815
    lora_V: Tensor  # noqa: N815
    singular: str
    transposed = False  # whether the weight is (in, out)

    def __init__(self, base: nn.Module, rank: int, scaling: float, singular: str, dropout: float = 0.0) -> None:
        LowRank.__init__(self, base, scaling, dropout)
        outputs, inputs = self._matrix().shape
        self.room = check_rank(rank, outputs, inputs)
        self.singular = singular
        like = wide_like(self.target)
        self.register_buffer("lora_U", torch.empty(outputs, rank).to(like), persistent=False)
        self.register_buffer("lora_V", torch.empty(rank, inputs).to(like), persistent=False)
        self.lora_R = nn.Parameter(torch.zeros(rank, rank).to(like))
        self.frame()
        self.register_load_state_dict_post_hook(_frame_again)

    @torch.no_grad()
    def frame(self) -> None:
        """Compute U and V from the weight as it is."""
        U, sigma, V = truncated_svd(self._matrix(), len(self.lora_R))
        self.lora_U.copy_(U * sigma if self.singular == "output" else U)
        self.lora_V.copy_(V if self.singular == "output" else sigma[:, None] * V)

    def _matrix(self) -> Tensor:
        """The weight: (out, in)."""
        if is_sharded(self.target):
            raise UserError("lora_xs needs the singular vectors of a whole weight: fully_shard has cut it")
        return self.target.T if self.transposed else self.target

    @property
    def lora_A(self) -> Tensor:  # type: ignore[override]  # noqa: N802
        """V: (r, in)."""
        return self.lora_V

    @property
    def lora_B(self) -> Tensor:  # type: ignore[override]  # noqa: N802
        """U R: (out, r)."""
        return self.lora_U @ self.lora_R


class InnerLinear(Inner, LowRankLinear):
    """nn.Linear."""


class InnerConv1D(Inner, LowRankConv1D):
    """transformers' Conv1D."""

    transposed = True


def _frame_again(layer: nn.Module, keys: Any) -> None:
    """After a state dict has brought another weight."""
    assert isinstance(layer, Inner)
    layer.frame()


def inner_kinds() -> dict[type[nn.Module], Any]:
    """Wrappers by layer; transformers' Conv1D among them if it is loaded."""
    transformers = sys.modules.get("transformers.pytorch_utils")
    return {nn.Linear: InnerLinear} | ({} if transformers is None else {transformers.Conv1D: InnerConv1D})
