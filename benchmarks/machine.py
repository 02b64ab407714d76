"""What a measurement ran on."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch


def machine(device: torch.device) -> str:
    """Processor, with the vector instructions that torch uses, or GPU; threads, versions."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    versions = ", ".join(f"{package} {version_of(package)}" for package in ("torch", "numba", "numpy"))
    return f"{name}, {torch.get_num_threads()} threads, {versions}, Python {platform.python_version()}"


def version_of(package: str) -> str:
    """Its version, in words where it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "(none)"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
