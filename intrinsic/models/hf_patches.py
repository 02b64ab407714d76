"""A pretrained language model that reads patches of images."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.checks import integer, share
from intrinsic.errors import UserError
from intrinsic.models.hugging_face.first_blocks import first_blocks
from intrinsic.models.hugging_face.folder import hf_folder
from intrinsic.models.hugging_face.frame import load_weights
from intrinsic.models.hugging_face.loading import loading
from intrinsic.models.hugging_face.size import check_size
from intrinsic.models.hugging_face.transformers_package import hf_import
from intrinsic.models.hugging_face.view import hf_view

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


def hf_patches(
    input_shape: Sequence[int],
    num_outputs: int,
    *,
    name: str | None,
    source: Any,
    patch: int,
    layers: int | None,
    dropout: float | None,
) -> HFPatches:
    """One of transformers' encoders or decoders, which reads images (see `HFPatches`).

    Args:
        input_shape: (channels, height, width).
        num_outputs: of the head.
        name: as in `hf`.
        source: "hub": the blocks are pretrained; None or "zero": the same architecture at random weights.
        patch: pixels a side; divides height and width.
        layers: the first so many blocks alone; None: all.
        dropout: wherever the language model has one; None: its own.

    E, the head, and what is not pretrained are drawn from torch's global random state.

    Raises:
        UserError: for what are no images, a patch that does not divide them or more of them than the model has
            positions, a model of several stacks of blocks, and as `hf` for its folder.
    """
    integer("patch", patch, 1, of="hf_patches")
    integer("num_outputs", num_outputs, 1, of="hf_patches")
    if len(input_shape) != 3 or input_shape[1] % patch or input_shape[2] % patch:
        raise UserError(
            f"hf_patches: need images (channels, height, width) with sides divisible by patch={patch}, got "
            f"{tuple(input_shape)}: use another patch, or model=hf for texts"
        )
    if source not in ("hub", "zero", None):
        raise UserError(
            "model=hf_patches starts at init=hub (its own weights), random or zero, got init.source as keys"
        )
    folder = hf_folder(name, weights=source == "hub")
    what = "a language model with weights in safetensors"
    with hf_view(folder, weights=source == "hub") as view, loading(folder, what, view=view):
        transformers = hf_import()
        config = transformers.AutoConfig.from_pretrained(view, trust_remote_code=False, local_files_only=True)
        if config.is_encoder_decoder or config.get_text_config() is not config:
            raise UserError(f"{folder} is not one stack of blocks ({config.model_type}): need an encoder or a decoder")
        cut = first_blocks(config, layers, folder)
        count, longest = (input_shape[1] // patch) * (input_shape[2] // patch), _longest(config)
        if longest is not None and count > longest:
            raise UserError(f"{folder} reads {longest} places, got {count} of {tuple(input_shape)}: use a larger patch")
        config.use_cache = False
        if dropout is not None:
            share("dropout", dropout, of="hf_patches")
            for key in [key for key, value in vars(config).items() if "drop" in key and isinstance(value, float)]:
                setattr(config, key, dropout)
        check_size(transformers.AutoModel, config, folder)
        if source == "hub":
            blocks, absent = load_weights(transformers.AutoModel, view, config, folder, cut=cut)
            lost = sorted(key for key in absent if "pooler." not in key)
            if lost:
                raise UserError(f"{folder} lacks {len(lost)} tensors of its model, such as {lost[0]}: need its own")
        else:
            blocks = transformers.AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False)
        return HFPatches(input_shape, num_outputs, patch=patch, blocks=blocks)


def _longest(config: Any) -> int | None:
    longest = getattr(config, "max_position_embeddings", None)
    return longest if isinstance(longest, int) and longest > 0 else None
