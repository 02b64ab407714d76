"""What a layer attends to of a prompt, behind a gate."""

from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.layers.gated_prefix import GatedPrefix
from intrinsic.layers.prompt_tokens import PromptTokens


class PromptShare(GatedPrefix):
    """tanh(gate) softmax(s Q K^T) V for the keys and values that this layer itself makes of a prompt.

    A layer that is called several times in one call of the model (ALBERT's) attends to those of all its calls. Called
    outside of the model that runs the prompt, it adds nothing.

    Args:
        tokens: the prompt, which stands elsewhere in the model.
        like: as for `GatedPrefix`.
    """

    def __init__(self, heads: int, kv_heads: int, head_dim: int, *, tokens: PromptTokens, like: Tensor) -> None:
        super().__init__(heads, kv_heads, head_dim, len(tokens.embeddings), like=like, seed=0, drawn=False)
        self.held = (tokens,)  # no child: it has its place

    @property
    def tokens(self) -> PromptTokens:
        """The prompt."""
        return self.held[0]

    def share(
        self, query: Tensor, key: Tensor, value: Tensor, scaling: float | None = None, dropout: float = 0.0
    ) -> Tensor | None:
        """What is added; None while the prompt itself runs, whose keys and values are kept, and where none has run."""
        if self.tokens.keep(self, key, value) or self.tokens.kept(self) is None:
            return None
        found: Tensor = self(query, scaling, dropout)
        return found

    def keys_and_values(self) -> tuple[Tensor, Tensor]:
        """K and V, each (kv_heads, length, head_dim), of the prompt that has run."""
        found = self.tokens.kept(self)
        assert found is not None
        return found

    @property
    def kv_heads(self) -> int:
        """As many as the layer makes."""
        return len(self.keys_and_values()[0])

    @kv_heads.setter
    def kv_heads(self, value: Any) -> None:
        return

    @torch.no_grad()
    def plain(self) -> GatedPrefix:
        """The same keys, values and gate as numbers of their own."""
        key, value = (tensor.to(self.gate.dtype, copy=True) for tensor in self.keys_and_values())
        prefix = GatedPrefix(self.heads, len(key), self.head_dim, key.shape[1], like=self.gate, seed=0, drawn=False)
        prefix.gate.copy_(self.gate)
        prefix.key, prefix.value = nn.Parameter(key), nn.Parameter(value)
        return prefix.train(self.training)
