"""Attention between queries, keys and values that were computed elsewhere."""

from torch import Tensor, nn
from torch.nn import functional as F

from intrinsic.layers.gated_prefix import GatedPrefix


class Attention(nn.Module):
    """softmax(Q K^T / sqrt(head_dim)) V for each of `num_heads` heads; with a `prefix`, plus what that gives for Q.

    `causal`: a token attends to itself and to those before it.

    A model that attends through this module can be given a prefix: see `spaces.prefix`.
    """

    prefix: GatedPrefix | None

    def __init__(self, num_heads: int, head_dim: int, *, causal: bool = False) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.causal = num_heads, head_dim, causal
        self.register_module("prefix", None)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Map three tensors (n, num_heads, tokens, head_dim) to one of the same shape."""
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        share = None if self.prefix is None else self.prefix.share(query, key, value)
        return mixed if share is None else mixed + share.to(mixed.dtype)
