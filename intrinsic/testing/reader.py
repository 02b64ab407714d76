"""A small model that reads tokens."""

from torch import Tensor, nn

from intrinsic.layers.attention import Attention


class Reader(nn.Module):
    """Embeddings of seven tokens, one self-attention, a mean over tokens, and a head: (n, ...) -> (n, num_outputs).

    Inputs of any shape and dtype are taken for tokens, row by row: 9 times each number, cut to an integer, modulo 7.
    """

    def __init__(self, num_outputs: int = 4, width: int = 8, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.embedding = nn.Embedding(7, width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.mix = Attention(heads, width // heads)
        self.head = nn.Linear(width, num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map rows of tokens to outputs."""
        x = self.embedding((9 * inputs.flatten(1)).long() % 7)
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        return self.head((x + self.mix(query, key, value).transpose(1, 2).flatten(2)).mean(1))
