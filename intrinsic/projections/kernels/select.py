"""Which kernel multiplies by a projection."""

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor, nn

from intrinsic.errors import UserError

_NEEDS = {"cpu": "numba", "cuda": "triton"}


def select(owner: type[nn.Module], x: Tensor) -> ModuleType | None:
    """The kernels for a projection class and an argument, or None: plain torch.

    They are the module `kernels/<file of the class>_<cpu or cuda>.py` beside that file, if there is one, with
    `matvec(projection, z, origin, out)` and `rmatvec(projection, g, out)` on contiguous vectors of one dtype, float32
    or float64; an empty `origin` means zero. Tracers (torch.compile, torch.func, fake tensors) see plain torch.

    Raises:
        UserError: unless INTRINSIC_KERNELS is unset, "auto" or "torch" (never kernels).
    """
    choice = os.environ.get("INTRINSIC_KERNELS", "auto")
    if choice not in ("auto", "torch"):
        raise UserError(f"need INTRINSIC_KERNELS=auto or torch, got INTRINSIC_KERNELS={choice}")
    if choice == "torch" or x.dtype not in (torch.float32, torch.float64) or tracing(x):
        return None
    return _find(owner.__module__, x.device.type)


def tracing(x: Tensor) -> bool:
    """Whether x stands for another tensor: memory must not be touched behind torch's back."""
    return (
        type(x) not in (Tensor, nn.Parameter)
        or torch.compiler.is_compiling()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch._C._len_torch_dispatch_stack() > 0
    )


@cache
def _find(module: str, device: str) -> ModuleType | None:
    package, _, name = module.rpartition(".")
    if (
        device not in _NEEDS
        or not package
        or find_spec(_NEEDS[device]) is None
        or find_spec(package + ".kernels") is None
    ):
        return None
    kernels = f"{package}.kernels.{name}_{device}"
    return import_module(kernels) if find_spec(kernels) is not None else None
