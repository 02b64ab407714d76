"""The block of our own transformers."""

from torch import Tensor, nn
from torch.nn import functional

from intrinsic.layers.attention import Attention


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), with dropout on both branches.

    The MLP is 4 `width` wide; attention has linear maps of its own for query, key, value and output.
    """

    def __init__(self, width: int, heads: int, dropout: float, *, causal: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = _Attention(width, heads, causal)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, tokens, width) to the same shape."""
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.dropout(self.down(self.dropout(functional.gelu(self.up(self.norm2(x))))))


class _Attention(nn.Module):
    """softmax(Q K^T / sqrt(width / heads)) V for each head, then `output`."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.mix = Attention(heads, width // heads, causal=causal)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, tokens, width) to the same shape."""
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (n, heads, tokens, width / heads)
            for layer in (self.query, self.key, self.value)
        )
        return self.output(self.mix(query, key, value).transpose(1, 2).flatten(2))


def xavier_uniform(model: nn.Module) -> None:
    """Draw the weights of linear maps and convolutions from the global random state, and set their biases to zero."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight.data.flatten(1))  # a view: writes into the weight
            assert module.bias is not None
            nn.init.zeros_(module.bias)
