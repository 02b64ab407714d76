"""The first blocks of a model of transformers."""

from typing import Any

from intrinsic.checks import integer
from intrinsic.errors import UserError


def first_blocks(config: Any, layers: int | None, folder: str) -> bool:
    """Shorten a model's config to its first `layers` blocks, None: all; return whether blocks were cut off.

    What stands before and after the blocks stays: embeddings, the last normalisation, the head.

    Raises:
        UserError: for a number of blocks that the model does not have, and for a model of several stacks of blocks.
    """
    if layers is None:
        return False
    integer("layers", layers, 1, of="model")
    text = config.get_text_config()
    whole = getattr(text, "num_hidden_layers", None)
    if config.is_encoder_decoder or text is not config or not isinstance(whole, int):
        raise UserError(f"{folder} is not one stack of blocks ({config.model_type}): use model.layers=null")
    if layers > whole:
        raise UserError(f"need 1 <= model.layers <= {whole} of {folder}, got layers={layers}")
    for key, value in vars(config).items():
        if isinstance(value, list) and len(value) == whole and "layer" in key:  # what it says of each block
            setattr(config, key, value[:layers])
    config.num_hidden_layers = layers
    return layers < whole
