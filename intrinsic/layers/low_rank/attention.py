"""Updates of the fused input projection of nn.MultiheadAttention."""

from typing import Any

from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.layers.low_rank.parts import Parts
from intrinsic.surgery.torch_internals import PARAMETERS, own_parameters


class AttentionParts(Parts):
    """nn.MultiheadAttention: `in_proj` as a whole, or its rows for query, key and value.

    The layer reads `in_proj_weight` and calls nothing, so that a call is one of a shadow of the layer: the same in
    everything, but for W + s B A there. Others that read it from this layer (nn.TransformerEncoderLayer, in its fast
    path) find it, too.
    """

    base: nn.MultiheadAttention

    @property
    def target(self) -> nn.Parameter:
        """W of query, key and value: (3 width, width)."""
        assert self.base.in_proj_weight is not None
        return self.base.in_proj_weight

    @property
    def in_proj_weight(self) -> Tensor:
        """W + s B A."""
        return self.weight

    @in_proj_weight.setter
    def in_proj_weight(self, value: Any) -> None:
        raise UserError("the weight of a layer with an update is W + s B A: set W itself, `layer.base.in_proj_weight`")

    def _shape(self) -> tuple[int, int]:
        outputs, inputs = self.target.shape
        return outputs, inputs

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer returns with the updated weight."""
        base = self.base
        shadow = object.__new__(type(base))  # of this call alone: concurrent ones have theirs
        shadow.__dict__ = {**vars(base), PARAMETERS: {**own_parameters(base), "in_proj_weight": self.weight}}
        return shadow(*args, **kwargs)

    def delta(self) -> Tensor:
        """S B A: (3 width, width)."""
        return self.lora_B @ self.lora_A
