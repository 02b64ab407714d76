"""The two files of an adapter, and nothing that is not supported here."""

import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from intrinsic.checks import check_memory
from intrinsic.errors import UserError
from intrinsic.files.read_json import read_json
from intrinsic.peft.layout import CONFIG, PICKLE, WEIGHTS
from intrinsic.peft.peft_type import peft_types

# what says nothing about the weights: which layers have updates, and how they start, is in the file
SILENT = {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "task_type", "auto_mapping"}
SILENT |= {"base_model_name_or_path", "revision", "peft_version", "inference_mode", "fan_in_fan_out"}
SILENT |= {"peft_type", "modules_to_save"}
DEFAULTS = {"bias": "none", "megatron_core": "megatron.core", "qalora_group_size": 16}
STARTS = (True, False, None, "gaussian", "orthogonal", "eva")  # that leave the base's weights as they are
# PEFT's types that have a space here, of which the function is another one: docs/guides/peft.md
OTHERS = {
    "PROMPT_TUNING": "whose prompt shares one softmax with the text and moves its positions; space=prompt has a gate",
    "PREFIX_TUNING": "whose prefix shares one softmax with the text and moves its positions; space=prefix has a gate",
    "FOURIERFT": "whose waves are another basis than projection=dct's, of another length",
}


def read_adapter(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration and the tensors of an adapter's folder.

    Raises:
        UserError: if a file is missing, pickled or damaged, or the adapter is of another method.
    """
    made = "need a folder that PEFT's save_pretrained or intrinsic.export_peft wrote"
    if not (folder / CONFIG).is_file():
        cut = not os.path.lexists(folder / CONFIG) and (folder / WEIGHTS).is_file()  # what a kill of export_peft leaves
        hint = "; an export that was cut off leaves this, then write it again" if cut else ""
        raise UserError(f"there is no {folder / CONFIG}: {made}{hint}")
    config = read_json(folder / CONFIG, remedy=made)
    if not isinstance(config, dict):
        raise UserError(f"{folder / CONFIG} is damaged (it holds no object): {made}")
    if not (folder / WEIGHTS).is_file():
        if (folder / PICKLE).is_file():
            raise UserError(
                f"{folder / PICKLE} is a pickle, which can run any code and is never read: save the adapter with "
                f"PEFT's save_pretrained(..., safe_serialization=True), which writes {WEIGHTS}"
            )
        raise UserError(f"there is no {folder / WEIGHTS}: {made}")
    _check_config(config, folder)
    try:
        check_memory((folder / WEIGHTS).stat().st_size, folder / WEIGHTS)
        tensors = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{folder / WEIGHTS} is damaged or not a safetensors file: {error}") from None
    if not (folder / CONFIG).is_file() or read_json(folder / CONFIG, remedy=made) != config:
        raise UserError(f"{folder} was rewritten while it was read: load it again")
    return config, tensors


def _check_config(config: dict[str, Any], folder: str | Path) -> None:
    kind = config.get("peft_type")
    known = peft_types()
    if not isinstance(kind, str) or kind not in known:
        reason = OTHERS.get(str(kind), f"need {', '.join(known)}")
        raise UserError(
            f"{folder} holds an adapter of peft_type={kind}, {reason}: load it with PEFT, and merge it there if it can"
        )
    if any(key not in config for key in known[kind].needed):
        wanted = " or no ".join(known[kind].needed)
        raise UserError(f"{folder} has no {wanted} in its {CONFIG}: write it with PEFT's save_pretrained")
    start = config.get("init_lora_weights")
    if start not in STARTS:
        raise UserError(
            f"{folder} has init_lora_weights={start!r}, which changes the base's weights: convert it with PEFT's "
            "save_pretrained(..., path_initial_model_for_weight_conversion=...)"
        )
    silent = known[kind].knobs | SILENT
    for key, value in config.items():
        if key not in silent and value and value != DEFAULTS.get(key):
            raise UserError(
                f"{folder} needs {key}={value!r}, which {kind} here does not support: load it with PEFT, and merge it"
            )
