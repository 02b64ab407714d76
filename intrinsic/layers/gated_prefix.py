"""Keys and values of virtual positions, behind a gate."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intrinsic import rng
from intrinsic.checks import check_memory
from intrinsic.surgery.added_module import AddedModule, beside, wide_like


class GatedPrefix(AddedModule):
    """tanh(gate) softmax(s Q K^T) V over `length` virtual positions: 0 as long as the gate is.

    K and V are (kv_heads, length, head_dim), N(0, 1); head h of Q reads those of head h / (heads / kv_heads), as in
    grouped-query attention. The gate, one number a head, starts at 0 and has the gradient (softmax(s Q K^T) V) . g
    there; K and V have none until it has moved, as LoRA's A.

    Args:
        like: a tensor of the dtype and on the device that the parameters get; float32 instead of half precision.
    """

    def __init__(
        self, heads: int, kv_heads: int, head_dim: int, length: int, *, like: Tensor, seed: int, drawn: bool = True
    ) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim, self.length = heads, kv_heads, head_dim, length
        self.narrow, like = like.dtype, wide_like(like)
        self.gate = nn.Parameter(like.new_zeros(heads, 1, 1))
        if drawn:
            check_memory(2 * like.element_size() * kv_heads * length * head_dim, f"a prefix of {length=}")
            numbers = torch.from_numpy(rng.normals(seed, 2 * kv_heads * length * head_dim))
            key, value = numbers.view(2, kv_heads, length, head_dim).to(like)
            self.key, self.value = nn.Parameter(key.clone()), nn.Parameter(value.clone())

    def keys_and_values(self) -> tuple[Tensor, Tensor]:
        """K and V, each (kv_heads, length, head_dim)."""
        return self.key, self.value

    def share(
        self, query: Tensor, key: Tensor, value: Tensor, scaling: float | None = None, dropout: float = 0.0
    ) -> Tensor | None:
        """What is added where a model attends by these queries, keys and values (n, heads, tokens, head_dim)."""
        found: Tensor = self(query, scaling, dropout)
        return found

    def forward(self, query: Tensor, scaling: float | None = None, dropout: float = 0.0) -> Tensor:
        """Map queries (n, heads, tokens, head_dim) to what is added to the attention's output, of the same shape.

        `scaling` is s, None: 1 / sqrt(head_dim). `dropout` is of the attention weights, while training.
        """
        key, value = (beside(number, query) for number in self.keys_and_values())
        grouped = query.unflatten(1, (self.kv_heads, -1))  # (n, kv_heads, heads / kv_heads, tokens, head_dim)
        logits = grouped @ key.unsqueeze(1).mT * (self.head_dim**-0.5 if scaling is None else scaling)
        weights = F.dropout(logits.softmax(-1), dropout, self.training)
        mixed = (weights @ value.unsqueeze(1)).flatten(1, 2)
        return self.gate.tanh().to(mixed.dtype) * mixed
