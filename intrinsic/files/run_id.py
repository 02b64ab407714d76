"""What tells one run from another."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# top-level knobs that do not change a run's numbers: where things lie, where and beside whom they run, and who is told
INCIDENTAL = frozenset(
    {"output", "study", "data_dir", "logger", "device", "threads", "checkpoint_seconds", "replicas", "batch"}
)
# knobs that came later, and what runs before them had: at that value they do not count, so that ids stay
SINCE: dict[str, Any] = {
    "redraw": None,
    "redraw_optimizer": "reset",
    "lr_groups": None,
    "select_by": "random",
    "select_batches": 8,
}
# the same of arguments, by the `_target_` that takes them
_IMAGES: dict[str, Any] = {"label_noise": 0.0, "classes": None}
SINCE_OF: dict[str, dict[str, Any]] = {
    "intrinsic.spaces.full.Full": {"targets": None},
    "intrinsic.models.hf.hf": {"layers": None},
    "intrinsic.models.hf_lm.hf_lm": {"layers": None},
    "intrinsic.training.evolution_strategy.EvolutionStrategy": {"solved": None},
    "intrinsic.data.digits.digits": _IMAGES,
    "intrinsic.data.mnist.mnist": _IMAGES,
    "intrinsic.data.cifar10.cifar10": _IMAGES,
    "intrinsic.data.images.images": _IMAGES,
}

# what configs of earlier versions name, and where it is now
RENAMED = {
    "intrinsic.linear_warmup.LinearWarmup": "intrinsic.training.linear_warmup.LinearWarmup",
    "experiments.wandb_logger.WandbLogger": "experiments.loggers.wandb_logger.WandbLogger",
}


def run_id(config: Mapping[str, Any]) -> str:
    """A hash of a resolved config less `INCIDENTAL` knobs and the dataset's folder: 12 hexadecimal digits.

    `threads` are part of it where they are set: sums of several threads have other last bits. Left to torch, they are
    the machine's (one, under a launcher that gives each job one), as the device is: the record says which. What was
    renamed counts under its first name; seeds of sources that are null, and what is as it was before there was a knob
    (`SINCE`), do not count: ids stay.
    """
    essential = {key: value for key, value in config.items() if key not in INCIDENTAL}
    essential = {key: value for key, value in essential.items() if key not in SINCE or value != SINCE[key]}
    if config.get("threads") is not None:
        essential["threads"] = config["threads"]
    if isinstance(essential.get("dataset"), Mapping):
        essential["dataset"] = {key: value for key, value in essential["dataset"].items() if key != "data_dir"}
    for part in ("space", "model", "dataset", "optim"):
        if isinstance(node := essential.get(part), Mapping):
            before = SINCE_OF.get(str(node.get("_target_")), {})
            essential[part] = {key: value for key, value in node.items() if key not in before or value != before[key]}
    if isinstance(essential.get("seeds"), Mapping):  # null: from `seed`, as before there were any
        own = {source: seed for source, seed in essential.pop("seeds").items() if seed is not None}
        essential |= {"seeds": own} if own else {}
    first_names = renamed(essential, {new: old for old, new in RENAMED.items()})
    return hashlib.sha256(json.dumps(first_names, sort_keys=True).encode()).hexdigest()[:12]


def renamed(config: Any, names: Mapping[str, str] = RENAMED) -> Any:
    """A config, as JSON has it, in which targets that have moved have the names of today."""

    def today(node: dict[str, Any]) -> dict[str, Any]:
        target = node.get("_target_")
        return {**node, "_target_": names[target]} if isinstance(target, str) and target in names else node

    return json.loads(json.dumps(config), object_hook=today)  # unlike a recursion of our own, as deep as JSON may be
