"""Where a prompt goes: the module that reads tokens, its table of embeddings, and its layers that attend."""

import inspect
import warnings
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import nn

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.layers.attention_sites import attach, detach, head_sizes
from intrinsic.layers.prompt_share import PromptShare
from intrinsic.layers.prompt_tokens import PromptTokens
from intrinsic.surgery.torch_internals import remove_forward_hooks
from intrinsic.surgery.wrapper import Wrapper

_KEYWORD = "input_ids"  # by which modules of transformers take tokens


class _Place(NamedTuple):
    reader: str
    table: nn.Module


def put_prompt(model: nn.Module, sites: Mapping[str, nn.Module], *, length: int, seed: int) -> PromptTokens:
    """Put a prompt into a model: into the innermost module that takes tokens alone, and attends.

    Found by calls of it on a prompt: places of which a layer that attends makes keys of the prompt's embeddings.

    Args:
        model: any.
        sites: its layers that attend, see `find_attention`.
        length: how many embeddings: those of tokens drawn at random, each alike.
        seed: of the draw.

    Raises:
        UserError: if there is no such place; the model is then as it was.
    """
    name, reason = type(model).__name__, "has none"
    for place in _places(model, sites):
        try:
            return _put(model, place, sites, length, seed)
        except Exception as error:  # other people's code, which may need more than tokens
            remove_prompt(model)
            reason = f"cannot run {length} of them ({type(error).__name__}: {error!s:.80})".replace("\n", " ")
    raise UserError(
        f"space prompt needs tokens, whose embeddings attention reads: {name} {reason}: use space=prefix or lora"
    )


def remove_prompt(model: nn.Module) -> None:
    """Take the prompt away, and what layers have for it."""
    for module in list(model.modules()):
        if isinstance(getattr(module, "prefix", None), PromptShare):
            detach(module)
    for table in list(model.modules()):
        tokens = getattr(table, "prompt", None)
        if isinstance(tokens, PromptTokens):
            for module in model.modules():
                remove_forward_hooks(module, tokens.hooks)
            del table.prompt


def _places(model: nn.Module, sites: Mapping[str, nn.Module]) -> Iterator[_Place]:
    """The innermost first."""
    found: dict[tuple[str, int], _Place] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if not isinstance(module.base if isinstance(module, Wrapper) else module, nn.Embedding):
            continue
        owner = name.rpartition(".")[0]
        while owner and not any(site.startswith(f"{owner}.") for site in sites):
            owner = owner.rpartition(".")[0]
        found.setdefault((owner, id(module)), _Place(owner, module))
    yield from sorted(found.values(), key=lambda place: -len(place.reader.split(".")) * bool(place.reader))


def _put(model: nn.Module, place: _Place, sites: Mapping[str, nn.Module], length: int, seed: int) -> PromptTokens:
    reader, table = model.get_submodule(place.reader), place.table
    size = table.num_embeddings
    assert isinstance(size, int)
    device = next(table.parameters()).device
    drawn = torch.from_numpy(rng.uniforms(seed, length) * size).long().to(device)
    with torch.no_grad():
        start = table(drawn)
    known = inspect.signature(reader.forward).parameters
    padding = getattr(table, "padding_idx", None)
    token = next(number for number in range(size - 1, -2, -1) if number != padding)
    tokens = PromptTokens(start, token=token, keyword=_KEYWORD if _KEYWORD in known else None)
    inside = {name: module for name, module in sites.items() if name.startswith(f"{place.reader}.".lstrip("."))}
    for name, module in inside.items():
        near = next((p.detach() for p in module.parameters() if p.is_floating_point()), start)
        attach(module, PromptShare(*head_sizes(name, module), tokens=tokens, like=near).train(module.training))
    tokens.attach(reader, table)
    reached = _reached(reader, tokens)
    if not reached:
        raise ValueError("no layer attends to them")
    for module in inside.values():
        if module.prefix not in reached:
            detach(module)
    return tokens


def _reached(reader: nn.Module, tokens: PromptTokens) -> set[nn.Module]:
    """The layers whose keys and values come from the prompt's embeddings, one position for each of them."""
    flags = {parameter: parameter.requires_grad for parameter in reader.parameters()}
    try:
        for parameter in flags:
            parameter.requires_grad_(parameter is tokens.embeddings)
        with torch.enable_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = tokens.run(reader)
    finally:
        for parameter, flag in flags.items():
            parameter.requires_grad_(flag)
    length = len(tokens.embeddings)
    return {
        layer
        for layer, pairs in found.items()
        if isinstance(layer, nn.Module) and all(t.requires_grad and t.shape[1] == length for p in pairs for t in p)
    }
