"""The choice of compiled draws: the bits of `intrinsic.rng`, on all cores."""

import os
import warnings
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

NAMES = ("groups", "permutation", "blocks", "lanes", "streams", "borders")
LEAST = 1 << 21  # numbers that are worth loading kernels for; compiling them, once, takes seconds


def draws(name: str, count: int) -> Any:
    """The module `kernels/<name>_cpu.py`, for so many numbers; None: use `intrinsic.rng`.

    None for few numbers, without Numba, with INTRINSIC_KERNELS=torch, and, with a warning, where its `prove` finds
    other bits than those of `intrinsic.rng` or it does not compile.
    """
    return proven(name) if drawn_by_kernels(count) else None


def drawn_by_kernels(count: int) -> bool:
    """Whether kernels draw so many numbers, if nothing is wrong with them."""
    return count >= LEAST and os.environ.get("INTRINSIC_KERNELS") != "torch" and find_spec("numba") is not None


@cache
def proven(name: str) -> Any:
    """The module, compiled and proven at a small size; None if it is left out."""
    try:
        module = import_module(f"{__package__}.{name}_cpu")
        module.prove()
    except MemoryError:
        raise  # says nothing about kernels
    except Exception as error:  # whatever is wrong with kernels, numpy is not
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        warnings.warn(
            f"the compiled draw of {name} is left out, and numpy draws: {reason:.200}", RuntimeWarning, stacklevel=3
        )
        return None
    return module


def compare(name: str, found: Any, expected: Any) -> None:
    """For proofs.

    Raises:
        ArithmeticError: unless two arrays are equal.
    """
    if found.shape != expected.shape or not (found == expected).all():
        raise ArithmeticError(f"{name} has other bits than those of numpy")
