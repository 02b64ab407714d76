"""Blocks of a language model between patches of images and a head."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

HEAD_STD = 0.02  # of a new head's weights, as in BERT


class HFPatches(nn.Module):
    """head(mean over places of blocks(E patches)): images (n, channels, height, width) to (n, num_outputs).

    E, a random linear map without bias of `patch` x `patch` pixels, stands in the place of the table of words: entries
    N(0, s^2 / pixels), s that of the table, so that both are about as long. Positions, normalisation and blocks are the
    language model's. What it has and no patch needs, the table and a pooler, is gone.

    Source: Lu, Grover, Abbeel, Mordatch 2021, arXiv:2103.05247, where E is trained, and the answer read at the last
    place.
    """

    def __init__(self, input_shape: Sequence[int], num_outputs: int, *, patch: int, blocks: nn.Module) -> None:
        super().__init__()
        self.input_shape = tuple(input_shape)
        words: Any = blocks.get_input_embeddings()  # type: ignore[operator]
        spread, width = words.weight.std().item(), words.weight.shape[1]
        self.embedding = nn.Conv2d(input_shape[0], width, patch, stride=patch, bias=False)
        self.blocks = blocks
        self.blocks.set_input_embeddings(None)  # type: ignore[operator]
        if getattr(blocks, "pooler", None) is not None:
            blocks.pooler = None  # type: ignore[assignment]
        self.head = nn.Linear(width, num_outputs)
        nn.init.normal_(self.embedding.weight, std=spread / self.embedding.weight[0].numel() ** 0.5)
        nn.init.normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)

    @property
    def dummy_inputs(self) -> dict[str, Tensor]:
        """An input to find the layers by (see `intrinsic.surgery.dataflow`)."""
        return {"inputs": torch.zeros(1, *self.input_shape)}

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images to outputs."""
        patches = self.embedding(inputs).flatten(2).transpose(1, 2)  # (n, patches, width)
        return self.head(self.blocks(inputs_embeds=patches).last_hidden_state.mean(1))
