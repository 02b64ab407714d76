"""Updates of the fused input projection of nn.MultiheadAttention."""

from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from intrinsic.low_rank.parts import Parts


class AttentionParts(Parts):
    """nn.MultiheadAttention: `in_proj` as a whole, or its rows for query, key and value.

    The layer reads `in_proj_weight` and calls nothing, so that W + s B A is put there for a call. Others that read it
    from this layer (nn.TransformerEncoderLayer, in its fast path) find it, too.
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

    def _shape(self) -> tuple[int, int]:
        outputs, inputs = self.target.shape
        return outputs, inputs

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer returns with the updated weight."""
        return functional_call(self.base, {"in_proj_weight": self.weight}, args, kwargs, tie_weights=False)

    def delta(self) -> Tensor:
        """S B A: (3 width, width)."""
        return self.lora_B @ self.lora_A
