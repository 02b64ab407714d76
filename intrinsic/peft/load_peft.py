"""Import of what PEFT wrote."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.checks import check_module
from intrinsic.errors import UserError
from intrinsic.files.expand_path import expand_path
from intrinsic.layers.low_rank.embedding import LowRankEmbedding
from intrinsic.peft.layout import PREFIX, check_unshared
from intrinsic.peft.peft_type import peft_types
from intrinsic.peft.read_adapter import read_adapter
from intrinsic.subspace import Subspace
from intrinsic.surgery.as_it_was import as_it_was
from intrinsic.surgery.head import find_head, under


def load_peft(model: nn.Module, folder: str | Path, *, seed: int = 0) -> Subspace:
    """The subspace (and the head, if it was trained) that PEFT's or `export_peft`'s folder holds.

    LoRA, with `target_parameters` of fused experts, (IA)^3 and SHiRA as they are; VeRA, TinyLoRA and Uni-LoRA as LoRA,
    the same function, of which more is trained. It can be trained on, merged and saved. Around the model that PEFT's
    adapter was trained on, it computes the same.

    Args:
        model: the base, whose layers are wrapped in place.
        folder: with adapter_config.json and adapter_model.safetensors.
        seed: of what is made beside what is read.

    Raises:
        UserError: if a file is missing, pickled or damaged, the adapter is of another kind or has what is not here
            (DoRA, biases, ...), or a key does not fit the model; `model` is then as it was.

    Examples:
        >>> import copy, tempfile, torch, intrinsic
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.Linear(8, 2))
        >>> net = intrinsic.Subspace(copy.deepcopy(model), space=intrinsic.LoRA(rank=2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     intrinsic.export_peft(net, folder)
        ...     intrinsic.load_peft(model, folder).space.rank
        2
    """
    check_module(model)
    config, tensors = read_adapter(expand_path(folder))
    head = _saved_head(model, config, tensors, folder)
    adapter = peft_types()[config["peft_type"]].read(model, config, tensors, folder)
    for key, tensor in adapter.rest.items():
        if head is None or not under(key, head):
            _check_base(model, key, tensor, folder)
    projected: dict[str, Any] = {}
    if adapter.projection is not None:
        projected = {"projection": adapter.projection, "dim": len(adapter.numbers[0])}
    with as_it_was(model), ExitStack() as undo:
        net = Subspace(model, space=adapter.space, head=None if head is None else "train", seed=seed, **projected)
        undo.callback(net.unwrap)
        check_unshared(model)
        _fill(net, adapter.numbers, head, adapter.rest, folder)
        undo.pop_all()
    return net


def _saved_head(
    model: nn.Module, config: dict[str, Any], tensors: Mapping[str, Tensor], folder: str | Path
) -> str | None:
    """The head's name if its weights are in the file."""
    saved = config.get("modules_to_save") or []
    if not isinstance(saved, list) or not all(isinstance(name, str) for name in saved):
        raise UserError(f"{folder} has modules_to_save={saved!r}, need a list of names: write it with PEFT")
    for wanted in saved:
        for name, _ in model.named_modules():
            if name and name.endswith(wanted) and any(under(key, PREFIX + name) for key in tensors):
                head = find_head(model)
                if name != head:
                    raise UserError(
                        f"{folder} holds a trained {name}, and here only the head ({head}) is trained beside LoRA: "
                        "load it with PEFT, and merge it"
                    )
                return head
    return None


def _check_base(model: nn.Module, key: str, tensor: Tensor, folder: str | Path) -> None:
    """Check a weight of the base, which PEFT writes when it thinks that it was changed."""
    own = model.state_dict(keep_vars=True).get(key.replace(".base_layer.", "."))
    if own is None or "lora_" in key or "ia3_" in key:
        raise UserError(
            f"{folder} has a key {PREFIX}{key} that does not fit {type(model).__name__}: load it around the model "
            "that it was made for"
        )
    if own.shape != tensor.shape or not torch.equal(own.detach().cpu(), tensor.to(own.dtype).cpu()):
        raise UserError(
            f"{folder} brings its own {key}, which is not the model's: put it into the model before (the vocabulary "
            "was changed, or it is another model)"
        )


def _fill(
    net: Subspace, numbers: list[Tensor], head: str | None, rest: Mapping[str, Tensor], folder: str | Path
) -> None:
    """Copy what was read into its places, once all of it fits."""
    own: dict[str, Tensor] = {name: net.model.get_parameter(name) for name in net.coordinate_names}
    if not net.identity:
        own = {"z": net.z}
    read = dict(zip(own, numbers, strict=True))
    if head is not None:
        own |= {f"{head}.{key}": value for key, value in net.model.get_submodule(head).state_dict().items()}
        read |= {key: tensor for key, tensor in rest.items() if under(key, head)}
    for name in own | read:
        shapes = [tuple(tensors[name].shape) if name in tensors else "nothing" for tensors in (own, read)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"{folder} holds {shapes[1]} for {name}, and the model needs {shapes[0]}: load it around the model "
                "that it was made for"
            )
    for name, tensor in read.items():
        if tensor.is_floating_point() != own[name].is_floating_point():
            raise UserError(f"{folder} holds {tensor.dtype} for {name}, need {own[name].dtype}: write it with PEFT")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(read[name])
        for layer in net.model.modules():
            if isinstance(layer, LowRankEmbedding) and layer.base.padding_idx is not None:
                layer.lora_padding.copy_(layer.lora_A[:, layer.base.padding_idx])
