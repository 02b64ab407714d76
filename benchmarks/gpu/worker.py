"""The process of one part: `python -m benchmarks.gpu.worker PART ARGUMENT... DEVICE SCALE`, a line of JSON a row."""

import json
import os
import sys
from importlib import import_module

import torch

from benchmarks.gpu.attempt import reason
from benchmarks.huge import peak_mb as process_peak_mb


def main() -> None:
    """Measure; write each row with the peak of memory so far, and at the end whether that was all."""
    part, *arguments, device_name, scale = sys.argv[1:]
    with os.fdopen(os.dup(1), "w") as rows:
        os.dup2(2, 1)  # what libraries print is none of the rows
        device, end = torch.device(device_name), dict[str, object](whole=True)
        try:
            for row in import_module(f"benchmarks.gpu.{part}").measure(device, scale, *arguments):
                print(json.dumps({"row": row, "peak_mb": peak_mb(device)}), file=rows, flush=True)
        except Exception as error:  # reported, and the next part goes on
            end = {"whole": False, "reason": reason(error)}
        print(json.dumps(end), file=rows, flush=True)


def peak_mb(device: torch.device) -> float:
    """The most memory so far: of tensors on a GPU; on a CPU, of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return process_peak_mb()


if __name__ == "__main__":
    main()
