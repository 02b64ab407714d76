"""A small language model that reads from left to right."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from intrinsic.checks import check_memory, integer, share
from intrinsic.errors import UserError
from intrinsic.models.check_layers import check_layers
from intrinsic.models.transformer import TransformerBlock, xavier_uniform

_STD = 0.02  # of the initial embeddings, positions and head


class Decoder(nn.Module):
    """Tokens and their positions through `depth` pre-norm blocks that look back alone, then LayerNorm and `head`.

    Inputs (n, 2, length) integers, token ids and which text each is from, negative beyond the end of an input; outputs
    (n, length, num_outputs), logits of the next token at each place. Which text a token is from is not read. Linear
    maps start Xavier-uniform with zero biases, embeddings, positions and head N(0, 0.02^2), from torch's global random
    state.

    Args:
        input_shape: (2, length), of which length may be shorter than `context`.
        num_outputs: ids of the tokenizer.
        objective: "causal": predicts the next token.
        context: the most tokens of an input.
        width: of a token, divisible by `heads`; the MLPs are 4 `width` wide.
        depth: blocks.
        heads: of attention.
        dropout: on the branches of the blocks, and on what they read first.

    Raises:
        UserError: unless all sizes are integers >= 1, input_shape is (2, at most context), `heads` divides `width`, and
            0 <= dropout < 1; for weights beyond the memory at hand, and more than 10,000 blocks.

    Source: Radford et al. 2019, "Language models are unsupervised multitask learners"; the head is not tied to the
    embeddings, and starts near zero.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        *,
        objective: str,
        context: int,
        width: int,
        depth: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        counts = {"context": context, "width": width, "depth": depth, "heads": heads, "num_outputs": num_outputs}
        for name, value in counts.items():
            integer(name, value, 1, of="Decoder")
        share("dropout", dropout, of="Decoder")
        if objective != "causal":
            raise UserError(f"Decoder: need objective=causal, got objective={objective!r:.100}")
        if len(input_shape) != 2 or input_shape[0] != 2:
            raise UserError(f"Decoder: need texts cut by a tokenizer, (2, length), got {tuple(input_shape)}")
        if input_shape[1] > context:
            raise UserError(
                f"Decoder: need texts of at most context={context} tokens, got {input_shape[1]}: raise model.context"
            )
        if width % heads:
            raise UserError(f"Decoder: need width divisible by heads, got width={width}, heads={heads}")
        floats = width * (depth * (12 * width + 13) + context + 2 * num_outputs)
        check_memory(4 * floats, f"Decoder of {depth=}, {width=}")
        check_layers(depth, "Decoder")
        self.input_shape, self.context = tuple(input_shape), context
        self.embedding = nn.Embedding(num_outputs, width)
        self.positions = nn.Parameter(torch.empty(context, width))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads, dropout, causal=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_outputs)
        xavier_uniform(self)
        for tensor in (self.embedding.weight, self.positions, self.head.weight):
            nn.init.normal_(tensor, std=_STD)

    @property
    def dummy_inputs(self) -> dict[str, Tensor]:
        """An input to find the layers by (see `intrinsic.surgery.dataflow`)."""
        return {"inputs": torch.zeros(1, *self.input_shape, dtype=torch.int64)}

    def forward(self, inputs: Tensor) -> Tensor:
        """Map token ids (n, 2, length) to logits of the next token (n, length, num_outputs)."""
        ids = inputs[:, 0].long().clamp(min=0)  # what stands beyond the end is read by nothing before it
        x = self.dropout(self.embedding(ids) + self.positions[: ids.shape[1]])
        return self.head(self.norm(self.blocks(x)))
