"""One measurement of many, whose failure is a finding too."""

import gc
from collections.abc import Callable
from typing import Any

import torch

_LONGEST = 200  # characters of a reason


def attempt(case: dict[str, Any], measure: Callable[[], dict[str, Any]], device: torch.device) -> dict[str, Any]:
    """The row of a case: with what `measure` gives, or with the `reason` why it gave nothing, on one line.

    Raises:
        Exception: whatever has left the device unusable for the cases after this one.
    """
    try:
        row = case | measure()
    except Exception as error:  # whatever is wrong with a kernel is what is looked for here
        row = case | {"reason": reason(error)}
        del error
    if "reason" in row and device.type == "cuda":
        gc.collect()  # what the failed case held
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    return row


def reason(error: BaseException) -> str:
    """An error on one line, cut."""
    line = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
