"""The choice of the kernel that multiplies by a projection."""

import os
import threading
import warnings
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.projections.kernels.guarded_kernels import GuardedKernels
from intrinsic.projections.kernels.prove import prove
from intrinsic.surgery.torch_internals import in_a_transform

_NEEDS = {"cpu": "numba", "cuda": "triton"}
_LONGEST = 200  # characters of a reason
_Key = tuple[type[nn.Module], torch.device, torch.dtype]
_CHOSEN: dict[_Key, GuardedKernels | None] = {}
_LEFT_OUT: dict[_Key, str] = {}  # the warning
_PROVING: set[_Key] = set()
_LOCK = threading.RLock()  # one proof at a time; who asks for the same kernels waits


def select(owner: type[nn.Module], x: Tensor) -> GuardedKernels | None:
    """The kernels for a projection class and an argument, or None: plain torch.

    They are the module `kernels/<file of the class>_<cpu or cuda>.py` beside that file, if there is one, with
    `matvec(projection, z, origin, out)` and `rmatvec(projection, g, out)` on contiguous vectors of one dtype, float32
    or float64; an empty `origin` means zero. Or, in the place of one or both, with `matvec_pieces(projection, z,
    origins, out)` and `rmatvec_pieces(projection, pieces, out)` for what lies, in order, in several contiguous tensors
    of any shapes: z and the out of P^T g are float32 or float64, which is computed in, and all others of any floating
    dtype; no origins mean zero. If the two have `repeated` (see `on_pieces`), a training loop looks up what does not
    change once; and if the module has a `descent` (see there), `fit` takes a whole step of Adam by it. Tracers
    (torch.compile, torch.func, fake tensors) see plain torch.

    Where they are first asked for, once per process, class, device and dtype, they are compared with plain torch, on
    `owner(dim, full_dim, seed=...)` (see `prove`). Those that are wrong, cannot be imported or do not compile are left
    out, with one warning. On a CPU too: what is loaded from a cache or compiled for a processor that is not what it
    says can be wrong there as well, and a proof takes milliseconds beside a compilation, which is needed anyway. While
    a CUDA graph is captured nothing can be proven: plain torch is captured then.

    Raises:
        UserError: unless INTRINSIC_KERNELS is unset, "auto" or "torch" (never kernels).
    """
    choice = os.environ.get("INTRINSIC_KERNELS", "auto")
    if choice not in ("auto", "torch"):
        raise UserError(f"need INTRINSIC_KERNELS=auto or torch, got INTRINSIC_KERNELS={choice}")
    if choice == "torch" or x.dtype not in (torch.float32, torch.float64) or is_tracing(x):
        return None
    key = owner, x.device, x.dtype
    if key in _CHOSEN:
        return _CHOSEN[key]
    if x.is_cuda and torch.cuda.is_current_stream_capturing():
        return None
    with _LOCK:
        if key not in _CHOSEN and key not in _PROVING:
            _PROVING.add(key)
            try:
                _choose(key)
            finally:
                _PROVING.remove(key)
        return _CHOSEN.get(key)  # None for the proof's own products


def left_out(owner: type[nn.Module], x: Tensor) -> str | None:
    """Why the kernels that `select` has looked for are left out, or None if they are not."""
    return _LEFT_OUT.get((owner, x.device, x.dtype))


def is_tracing(x: Tensor) -> bool:
    """Whether x stands for another tensor: memory must not be touched behind torch's back."""
    return type(x) not in (Tensor, nn.Parameter) or torch.compiler.is_compiling() or in_a_transform()


def _choose(key: _Key) -> None:
    owner, device, dtype = key
    where = str(device)
    try:
        kernels = _find(owner.__module__, device.type)
        if kernels is not None:
            where += f" in {str(dtype).removeprefix('torch.')}"
            prove(owner, kernels, device, dtype)
    except (MemoryError, torch.OutOfMemoryError):
        raise  # says nothing about kernels
    except Exception as error:  # whatever is wrong with kernels, torch is not
        _leave_out(key, where, error)
    else:
        _CHOSEN[key] = None if kernels is None else GuardedKernels(kernels, lambda error: _leave_out(key, where, error))


def _leave_out(key: _Key, where: str, error: Exception) -> None:
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    reason = reason if len(reason) <= _LONGEST else reason[: _LONGEST - 1] + "…"
    text = f"the kernels of {key[0].__name__} on {where} are left out, and plain torch multiplies: {reason}"
    with _LOCK:
        told = key in _LEFT_OUT or text in _LEFT_OUT.values()
        _CHOSEN[key], _LEFT_OUT[key] = None, text
    if not told:
        warnings.warn(text, RuntimeWarning, stacklevel=3)


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
