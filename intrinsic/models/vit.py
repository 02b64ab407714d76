"""A small vision transformer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from intrinsic.checks import check_memory, integer, share
from intrinsic.errors import UserError
from intrinsic.models.check_layers import check_layers
from intrinsic.models.transformer import TransformerBlock, xavier_uniform

_STD = 0.02  # of the initial class token, positions and head


class ViT(nn.Module):
    """Patches of `patch` x `patch` pixels and a class token through `depth` pre-norm blocks, then LayerNorm and `head`.

    Inputs (n, channels, height, width), outputs (n, num_outputs) read from the class token. The MLP in a block is
    4 `width` wide; attention has linear maps of its own for query, key, value and output. Linear maps start
    Xavier-uniform with zero biases, class token, positions and head N(0, 0.02^2), from torch's global random state.

    Raises:
        UserError: unless all sizes are integers >= 1, input_shape has three, `patch` divides height and width, `heads`
            divides `width`, and 0 <= dropout < 1; for weights beyond the memory at hand, and more than 10,000 blocks.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, equations 1-4. We start the head near zero, they at zero.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        *,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        counts = {"patch": patch, "width": width, "depth": depth, "heads": heads, "num_outputs": num_outputs}
        for name, value in (*counts.items(), *(("side of input_shape", side) for side in input_shape)):
            integer(name, value, 1, of="ViT")
        share("dropout", dropout, of="ViT")
        if len(input_shape) != 3 or input_shape[1] % patch or input_shape[2] % patch:
            raise UserError(
                f"ViT: need images (channels, height, width) with sides divisible by patch={patch}, got "
                f"{tuple(input_shape)}: use another patch or model=mlp"
            )
        if width % heads:
            raise UserError(f"ViT: need width divisible by heads, got width={width}, heads={heads}")
        check_memory(4 * width * (depth * (12 * width + 13) + num_outputs), f"ViT of {depth=}, {width=}")
        check_layers(depth, "ViT")
        self.input_shape = tuple(input_shape)
        channels, rows, columns = input_shape[0], input_shape[1] // patch, input_shape[2] // patch
        self.embedding = nn.Conv2d(channels, width, patch, stride=patch)
        self.token = nn.Parameter(torch.empty(width))
        self.positions = nn.Parameter(torch.empty(1 + rows * columns, width))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_outputs)
        xavier_uniform(self)
        for tensor in (self.token, self.positions, self.head.weight):
            nn.init.normal_(tensor, std=_STD)

    @property
    def dummy_inputs(self) -> dict[str, Tensor]:
        """An input to find the layers by (see `intrinsic.surgery.dataflow`)."""
        return {"inputs": torch.zeros(1, *self.input_shape)}

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to outputs (n, num_outputs)."""
        patches = self.embedding(inputs).flatten(2).transpose(1, 2)  # (n, patches, width)
        token = self.token.expand(len(inputs), 1, -1)
        x = self.dropout(torch.cat([token, patches], dim=1) + self.positions)
        return self.head(self.norm(self.blocks(x)[:, 0]))
