"""A pretrained language model that reads patches of images."""

from collections.abc import Sequence
from typing import Any

import torch

from intrinsic.checks import integer, share
from intrinsic.errors import UserError
from intrinsic.models.hugging_face.first_blocks import first_blocks
from intrinsic.models.hugging_face.folder import hf_folder
from intrinsic.models.hugging_face.frame import load_weights
from intrinsic.models.hugging_face.loading import loading
from intrinsic.models.hugging_face.patches import HFPatches
from intrinsic.models.hugging_face.size import check_size
from intrinsic.models.hugging_face.transformers_package import hf_import
from intrinsic.models.hugging_face.view import hf_view


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
