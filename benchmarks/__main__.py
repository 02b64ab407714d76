"""All measurements: `python -m benchmarks`, which writes RESULTS.md, results.json and growth.png beside this file."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks import peers, peft_step, products, step_parts, steps
from benchmarks.report import draw_growth, report
from intrinsic.errors import UserError
from intrinsic.files.atomic import write_together

HERE = Path(__file__).parent


def main() -> None:
    """Measure and write the three files.

    Raises:
        UserError: if kernels are switched off.
    """
    if os.environ.get("INTRINSIC_KERNELS", "auto") != "auto":
        raise UserError("need INTRINSIC_KERNELS=auto to measure")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    results: dict[str, Any] = {"machine": machine(device)}
    results["steps"] = told(steps.measure(device))
    results["parts"] = told(step_parts.measure(device))
    results["products"] = told(products.measure(device))
    results["huge"] = json.loads(
        subprocess.run([sys.executable, "-m", "benchmarks.huge"], check=True, stdout=subprocess.PIPE, text=True).stdout
    )
    results["peft"] = peft_step.measure(device)
    results["peers"] = told(peers.measure()) if peers.install() else []
    text = report(results)
    write_together(
        {
            HERE / "results.json": lambda path: path.write_text(json.dumps(results, indent=1) + "\n"),
            HERE / "growth.png": lambda path: draw_growth(results["products"], path),
            HERE / "RESULTS.md": lambda path: path.write_text(text),
        }
    )
    print(text)


def told(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, each shown as it comes."""
    found = []
    for row in rows:
        found.append(row)
        print(
            "  ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()), file=sys.stderr
        )
    return found


def machine(device: torch.device) -> str:
    """What it ran on."""
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
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
