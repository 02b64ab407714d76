"""Export in PEFT's format."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from intrinsic.errors import UserError
from intrinsic.files.atomic import write_together
from intrinsic.files.expand_path import expand_path
from intrinsic.layers.low_rank import LowRank
from intrinsic.peft.layout import CONFIG, PREFIX, WEIGHTS, check_unshared
from intrinsic.peft.peft_type import WrittenPeftType, peft_types
from intrinsic.subspace import Subspace
from intrinsic.surgery.head import find_head, under
from intrinsic.surgery.tree import parameter_slots


def export_peft(net: Subspace, folder: str | Path, *, peft_type: str | None = None) -> None:
    """Write adapter_config.json and adapter_model.safetensors, for PEFT's `PeftModel.from_pretrained(model, folder)`.

    Of spaces with low-rank updates (lora, lora_xs, vera) as LoRA, of ia3 as (IA)^3, of full with `Select` as SHiRA.
    Factors that come from a projection are written as they are at z. A head that was trained is in `modules_to_save`.
    PEFT has no updates of parts of a matrix: those of q, k and v become one update of the whole, of the rank of all
    parts together and with a block-diagonal B, which is the same function (and, trained further, another experiment).
    PEFT wraps nn.MultiheadAttention with its output projection, whose update is written as zero.
    Buffers, such as BatchNorm's statistics, have no place in the format.
    A kill leaves the adapter that was there, the new one, or no adapter_config.json; other files in the folder stay.

    Args:
        net: what was trained.
        folder: which is made where it is missing.
        peft_type: "TINYLORA", for lora_xs: with d, the numbers that are trained, and P, in place of factors of LoRA.
            None: as above.

    Raises:
        UserError: if the space has no such updates, scales or weights, or not those of `peft_type`, the head shares
            weights or has updates, attention's output projection or a dilated convolution has one (PEFT computes
            another function from it), or the folder cannot be written.

    Examples:
        >>> import os, tempfile, torch, intrinsic
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.Linear(8, 2))
        >>> net = intrinsic.Subspace(model, space=intrinsic.LoRA(rank=2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     intrinsic.export_peft(net, folder)
        ...     sorted(os.listdir(folder))
        ['adapter_config.json', 'adapter_model.safetensors']
    """
    if not isinstance(net, Subspace):
        raise UserError(f"need an intrinsic.Subspace, got {type(net).__name__}")
    layout, folder = _format(net, peft_type), expand_path(folder)
    check_unshared(net.model)
    head = _trained_head(net)
    with torch.no_grad(), net.at(net.weights()):
        tensors, config = layout.write(net, head)
        if head is not None:
            state = net.model.get_submodule(head).state_dict()
            tensors |= {f"{PREFIX}{head}.{name}": tensor.clone() for name, tensor in state.items()}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(config, indent=2) + "\n"
    write_together(  # no reader takes weights without a configuration
        {
            folder / WEIGHTS: lambda path: save_file(contiguous, path, {"format": "pt"}),
            folder / CONFIG: lambda path: path.write_text(text),
        },
        remedy="give another folder",
    )


def _format(net: Subspace, wanted: str | None) -> WrittenPeftType:
    written = {name: kind for name, kind in peft_types().items() if isinstance(kind, WrittenPeftType)}
    fitting = [name for name, kind in written.items() if kind.writes(net)]
    if not fitting:
        raise UserError(
            f"PEFT's format holds space=lora or ia3, or full with select, got space={type(net.space).__name__}: write "
            "it with intrinsic.save, or the whole model after merge()"
        )
    if wanted is not None and wanted not in fitting:
        raise UserError(f"need peft_type={' or '.join(fitting)} for space={type(net.space).__name__}, got {wanted!r}")
    return written[wanted or ("LORA" if "LORA" in fitting else fitting[0])]


def _trained_head(net: Subspace) -> str | None:
    if net.head not in ("project", "train"):
        return None
    head = find_head(net.model)
    for name, module in net.model.named_modules():
        if isinstance(module, LowRank) and (under(name, head) or under(head, name)):
            raise UserError(f"PEFT cannot train the head {head} and update it with LoRA: leave it out of targets")
    inside = {id(parameter) for parameter in net.model.get_submodule(head).parameters()}
    slots = [slot for key, held in parameter_slots(net.model).items() if key in inside for slot in held]
    others = [slot for slot in slots if not under(slot, head)]
    if others:
        raise UserError(f"PEFT would untie the head {head} from {others[0]}: untie it first, or use intrinsic.save")
    return head
