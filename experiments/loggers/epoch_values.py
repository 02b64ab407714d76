"""What every logger tells of an epoch, and of a config."""

from collections.abc import Mapping
from typing import Any

from intrinsic.training.epoch import Epoch


def epoch_values(epoch: Epoch) -> dict[str, float]:
    """The numbers of an epoch as `train/loss`, `validation/accuracy`: a split and what was measured on it."""
    values = {"train/loss": epoch.train_loss}
    for split, scores in (("validation", epoch.validation), ("test", epoch.test or {})):
        values |= {f"{split}/{name}": score for name, score in scores.items()}
    return values | {f"train/{name}": score for name, score in (epoch.train or {}).items() if name != "loss"}


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Each leaf of nested mappings by its dotted key, as a bool, a number or a text."""
    if isinstance(node, Mapping):
        return {k: v for key, value in node.items() for k, v in flat(value, f"{prefix}.{key}".lstrip(".")).items()}
    return {prefix: node if isinstance(node, bool | int | float | str) else str(node)}
