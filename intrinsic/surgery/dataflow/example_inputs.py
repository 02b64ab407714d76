"""Inputs with which a model can be called, when nobody has given any."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

_TOKENS = 4
_SIDES = (8, 16, 32, 28, 64, 224)  # of images, where a model does not say
_SAMPLES = 1600  # of sound, a tenth of a second


def example_inputs(model: nn.Module) -> Iterator[tuple[str, tuple[Tensor, ...], dict[str, Tensor]]]:
    """What to try, one after the other: the module to call, by name, with arguments and keyword arguments.

    A model may say so itself, by an attribute `dummy_inputs`: tensors by the argument's name. Those of transformers are
    asked for their signature and their config; of any other the first layer of a known kind tells.
    """
    own = None if _is_transformers(model) else getattr(model, "dummy_inputs", None)
    if isinstance(own, Mapping):
        yield "", (), dict(own)
    top = next(((name, m) for name, m in model.named_modules() if _is_transformers(m)), None)
    if top is not None:
        yield from ((top[0], (), arguments) for arguments in _for_transformers(top[1]))
        return
    for x in _for_layer(model):
        yield "", (x,), {}


def _is_transformers(module: nn.Module) -> bool:
    return hasattr(module, "config") and isinstance(getattr(module, "main_input_name", None), str)


def _for_transformers(model: Any) -> Iterator[dict[str, Tensor]]:
    """Each argument of the model that is an input, then its main one alone."""
    made = _inputs(model.config)
    known = inspect.signature(model.forward).parameters
    encodes = getattr(model.config, "is_encoder_decoder", False)
    main = model.main_input_name
    wanted = [n for n in made if n == main or (n in known and (n != "decoder_input_ids" or encodes))]
    if "input_ids" in wanted and main not in ("input_ids", "pixel_values"):
        wanted.remove("input_ids")
    arguments = {name: made[name] for name in wanted}
    yield arguments
    if len(arguments) > 1 and main in arguments:
        yield {main: arguments[main]}


def _inputs(config: Any) -> dict[str, Tensor]:
    """Inputs by the name that transformers has for them, of the sizes in a config."""
    text = config.get_text_config()
    end = getattr(text, "eos_token_id", None)
    end = next(iter(end), None) if isinstance(end, list) else end
    size = getattr(text, "vocab_size", None) or 2
    tokens = torch.arange(_TOKENS).remainder(size)[None]
    if isinstance(end, int) and 0 <= end < size:
        tokens = tokens.where(tokens != end, (end + 1) % size)
        tokens[0, -1] = end  # models that read their answer at the end of a text need one
    found = {"input_ids": tokens, "decoder_input_ids": tokens}
    image = getattr(config, "vision_config", config)
    side = getattr(image, "image_size", 224)
    height, width = (side, side) if isinstance(side, int) else (side or (224, 224))
    found["pixel_values"] = torch.zeros(1, getattr(image, "num_channels", 3), height, width)
    found["input_values"] = torch.zeros(1, _SAMPLES)
    found["input_features"] = torch.zeros(
        1, getattr(config, "num_mel_bins", 80), 2 * getattr(config, "max_source_positions", 1500)
    )
    return found


def _for_layer(model: nn.Module) -> Iterator[Tensor]:
    """Inputs for the first layer that has weights of its own and nothing inside."""
    kinds = (nn.Embedding, nn.Linear, nn.Conv2d, nn.Conv1d, nn.MultiheadAttention)
    first = next((module for module in model.modules() if isinstance(module, kinds)), None)
    if isinstance(first, nn.Embedding):
        yield torch.arange(_TOKENS).remainder(first.num_embeddings)[None]
    elif isinstance(first, nn.Linear):
        yield from (torch.zeros(*size, first.in_features) for size in ((1, _TOKENS), (2,)))
    elif isinstance(first, nn.Conv2d):
        yield from (torch.zeros(2, first.in_channels, side, side) for side in _SIDES)
    elif isinstance(first, nn.Conv1d):
        yield from (torch.zeros(2, first.in_channels, side) for side in _SIDES)
    elif isinstance(first, nn.MultiheadAttention):
        yield torch.zeros(1, _TOKENS, first.embed_dim)
