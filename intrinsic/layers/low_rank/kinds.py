"""The table of which layer is wrapped by which class."""

import sys
from typing import Any

from torch import nn

from intrinsic.layers.low_rank.attention import AttentionParts
from intrinsic.layers.low_rank.conv1d import LowRankConv1D
from intrinsic.layers.low_rank.conv2d import LowRankConv2d
from intrinsic.layers.low_rank.embedding import LowRankEmbedding
from intrinsic.layers.low_rank.linear import LowRankLinear
from intrinsic.layers.low_rank.parts import Parts

LAYERS: dict[type[nn.Module], Any] = {
    nn.Linear: LowRankLinear,
    nn.Conv2d: LowRankConv2d,
    nn.Embedding: LowRankEmbedding,
}


class LinearParts(Parts, LowRankLinear):
    """Updates of query, key and value in a fused nn.Linear."""

    def _shape(self) -> tuple[int, int]:
        return self.base.out_features, self.base.in_features


class Conv1DParts(Parts, LowRankConv1D):
    """Updates of query, key and value in a fused Conv1D."""

    def _shape(self) -> tuple[int, int]:
        inputs, outputs = self.target.shape
        return outputs, inputs


def kinds() -> dict[type[nn.Module], Any]:
    """Wrappers by layer; transformers' Conv1D among them if it is loaded: who has a model with it has loaded it."""
    transformers = sys.modules.get("transformers.pytorch_utils")
    return LAYERS if transformers is None else {**LAYERS, transformers.Conv1D: LowRankConv1D}


def part_kinds() -> dict[type[nn.Module], Any]:
    """Wrappers by layer, for updates of parts of its matrix."""
    conv1d = {kind: Conv1DParts for kind, wrapper in kinds().items() if wrapper is LowRankConv1D}
    return {nn.Linear: LinearParts, nn.MultiheadAttention: AttentionParts, **conv1d}
