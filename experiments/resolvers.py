"""Numbers that a config computes: `${over_sqrt:5.5,${dim}}`. Imported for its effect, wherever configs are resolved."""

from typing import Any

from omegaconf import OmegaConf


def over_sqrt(factor: float, count: Any) -> float:
    """Factor / sqrt(count), to three digits: with this rate a step of Adam in `count` coordinates is equally long.

    What is no count is left to those who use it, and refuse it.
    """
    counts = isinstance(count, int) and count > 0
    return float(f"{factor / count**0.5:.3g}") if counts else factor


OmegaConf.register_new_resolver("over_sqrt", over_sqrt)
