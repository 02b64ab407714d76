"""The fingerprint: what makes the same coordinates the same model."""

import hashlib
import json
from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn

from intrinsic.surgery.added_module import AddedModule


def _values(name: str, parameter: nn.Parameter) -> Tensor:
    return parameter.detach()


def fingerprint(
    model: nn.Module,
    projection: str,
    trained: Collection[str],
    *,
    constants: bool = True,
    values: Callable[[str, nn.Parameter], Tensor] = _values,
) -> str:
    """A hash of P, by its own hash, of every number that is not trained, and of what a space's modules compute.

    `constants=False`: that of older files, without what the modules compute (alpha / rank), and with their numbers in
    the model's precision. `values`: where the numbers of a parameter are, if not in it.
    """
    digest = hashlib.sha256(projection.encode())
    added = {name: module for name, module in model.named_modules() if isinstance(module, AddedModule)}
    for name, parameter in model.named_parameters():
        if name not in trained:
            digest.update(name.encode())
            owner = None if constants else added.get(name.rpartition(".")[0])
            number = values(name, parameter) if owner is None else values(name, parameter).to(owner.narrow)
            digest.update(number.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    for name, module in added.items() if constants else ():
        digest.update(json.dumps([name, module.stable_name, module.constants()], sort_keys=True).encode())
    return digest.hexdigest()[:16]
