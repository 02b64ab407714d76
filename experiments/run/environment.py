"""The machine a run happens on: device, threads, memory, versions."""

import contextlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

from intrinsic.checks import THREADS, at_most, integer
from intrinsic.errors import UserError
from intrinsic.missing_package import DISTRIBUTION


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU where there is one.

    Raises:
        UserError: if torch does not know it or cannot use it.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not isinstance(name, str):
        raise UserError(f"need device to be auto, cpu, cuda or another name that torch knows, got device={name}")
    try:
        one = torch.ones(1, device=name)
        one.item()  # the meta device can make tensors, but no numbers
        return one.device
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device={name} cannot be used ({str(error).splitlines()[0]}): use device=auto") from None


def set_threads(threads: int | None) -> None:
    """Let torch use so many CPU threads; None: as many as it chose."""
    if threads is None:
        return
    try:
        torch.set_num_threads(integer("threads", threads, 1, at_most(THREADS)))
    except UserError as error:
        raise UserError(f"{error}: use null for as many as torch chooses") from None


def peak_memory_bytes(device: torch.device) -> int:
    """Bytes: allocated on the GPU in this run, else resident in this process so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    info = psutil.Process().memory_info()
    peak: int = getattr(info, "peak_wset", info.rss)  # Windows knows the peak itself
    with contextlib.suppress(ImportError):
        import resource

        unit = 1 if platform.system() == "Darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return peak


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, machine and commit: what a reader of a record asks about the run."""
    return {
        "intrinsic": version(DISTRIBUTION),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The commit of this code, with + if the files differ from it; None outside a git checkout."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
