"""A prefix that a small network computes while training."""

import torch
from torch import Tensor, nn

from intrinsic import rng
from intrinsic.checks import check_memory
from intrinsic.layers.gated_prefix import GatedPrefix
from intrinsic.surgery.added_module import wide_like


class ReparametrisedPrefix(GatedPrefix):
    """(K, V)_i = W2 tanh(W1 e_i + b1) + b2 for virtual position i, with trained e, W and b.

    Source: Li & Liang 2021, arXiv:2101.00190, section 4.3. Each layer has its own e and W1 here; theirs share both.
    e starts N(0, 1), W1 and W2 N(0, 1 / width), b at 0.
    """

    def __init__(
        self, heads: int, kv_heads: int, head_dim: int, length: int, *, width: int, like: Tensor, seed: int
    ) -> None:
        super().__init__(heads, kv_heads, head_dim, length, like=like, seed=seed, drawn=False)
        like = wide_like(like)

        def normal(rows: int, std: float, lane: int) -> nn.Parameter:
            numbers = torch.from_numpy(rng.normals(seed, rows * width, lane=lane)).view(rows, width)
            return nn.Parameter((std * numbers).to(like))

        outputs = 2 * kv_heads * head_dim
        check_memory(like.element_size() * width * (length + width + outputs), f"a prefix of {length=}, mlp={width}")
        self.embedding = normal(length, 1.0, 0)
        self.inner, self.inner_bias = normal(width, width**-0.5, 1), nn.Parameter(like.new_zeros(width))
        self.outer, self.outer_bias = normal(outputs, width**-0.5, 2), nn.Parameter(like.new_zeros(outputs))

    def keys_and_values(self) -> tuple[Tensor, Tensor]:
        """K and V, each (kv_heads, length, head_dim)."""
        inner = torch.tanh(self.embedding @ self.inner.T + self.inner_bias)
        both = inner @ self.outer.T + self.outer_bias  # (length, 2 kv_heads head_dim)
        key, value = both.view(self.length, 2, self.kv_heads, self.head_dim).permute(1, 2, 0, 3)
        return key, value

    @torch.no_grad()
    def plain(self) -> GatedPrefix:
        """The same keys, values and gate as numbers of their own."""
        key, value = self.keys_and_values()
        prefix = GatedPrefix(
            self.heads, self.kv_heads, self.head_dim, self.length, like=self.gate, seed=0, drawn=False
        ).train(self.training)
        prefix.gate.copy_(self.gate)
        prefix.key, prefix.value = nn.Parameter(key.clone()), nn.Parameter(value.clone())
        return prefix
