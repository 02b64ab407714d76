"""W + s diag(b) B diag(d) A between frozen A and B that all layers share."""

import sys
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic import rng
from intrinsic.layers.low_rank.base import LowRank
from intrinsic.layers.low_rank.conv1d import LowRankConv1D
from intrinsic.layers.low_rank.linear import LowRankLinear
from intrinsic.surgery.added_module import wide_like

START = 0.1  # of d


class Shared(LowRank):
    """A layer with an update s diag(b) B diag(d) A: b (out,) and d (r,) are trained, A (r, in) and B (out, r) drawn.

    As an update of its kind, A = diag(d) A and B = diag(b) B. A is the first columns, and B the first rows, of matrices
    without end that are functions of `seed`, evenly within sqrt(6 / in) and sqrt(6 / r) (Kaiming, for ReLU). They are
    drawn when the layer is wrapped, and are in no state dict.

    Args:
        base: the layer.
        rank: r.
        scaling: s.
        seed: the same for all layers that share A and B.
        dropout: as in `LowRank`.
    """

    vera_d: Tensor
    vera_b: Tensor
    vera_A: Tensor  # noqa: N815
    vera_B: Tensor  # noqa: N815
    transposed = False  # whether the weight is (in, out)

    def __init__(self, base: nn.Module, rank: int, scaling: float, seed: int, dropout: float = 0.0) -> None:
        LowRank.__init__(self, base, scaling, dropout, seed=seed)
        outputs, inputs = reversed(self.target.shape) if self.transposed else self.target.shape
        like = wide_like(self.target)
        A, B = (_uniforms(rng.fan_out(seed, name), size, rank) for name, size in (("A", inputs), ("B", outputs)))
        self.register_buffer("vera_A", (sqrt(6 / inputs) * A.T).to(like), persistent=False)
        self.register_buffer("vera_B", (sqrt(6 / rank) * B).to(like), persistent=False)
        self.vera_d = nn.Parameter(torch.full((rank,), START).to(like))
        self.vera_b = nn.Parameter(torch.zeros(outputs).to(like))

    def constants(self) -> dict[str, Any]:
        """S, and the seed of what is drawn."""
        return {**super().constants(), "seed": self.seed}

    @property
    def lora_A(self) -> Tensor:  # type: ignore[override]  # noqa: N802
        """Diag(d) A: (r, in)."""
        return self.vera_d[:, None] * self.vera_A

    @property
    def lora_B(self) -> Tensor:  # type: ignore[override]  # noqa: N802
        """Diag(b) B: (out, r)."""
        return self.vera_b[:, None] * self.vera_B


class SharedLinear(Shared, LowRankLinear):
    """nn.Linear."""


class SharedConv1D(Shared, LowRankConv1D):
    """transformers' Conv1D."""

    transposed = True


def _uniforms(seed: int, size: int, rank: int) -> Tensor:
    """The first rows of a matrix without end, evenly within -1 and 1: (size, rank) float64."""
    return torch.from_numpy(2 * rng.uniforms(seed, size * rank).reshape(size, rank) - 1)


def shared_kinds() -> dict[type[nn.Module], Any]:
    """Wrappers by layer; transformers' Conv1D among them if it is loaded."""
    transformers = sys.modules.get("transformers.pytorch_utils")
    return {nn.Linear: SharedLinear} | ({} if transformers is None else {transformers.Conv1D: SharedConv1D})
