"""Measurements: `make bench` writes RESULTS.md, results.json and growth.png beside this file.

`python -m benchmarks steps products` measures these alone and leaves the rest as it was. `--compare` writes nothing: it
names each ratio that is more than 10 % worse than in results.json, or another file of that form, and then ends with
status 1.
"""

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from benchmarks import in_fit, peers, peft_step, products, size, start, step_parts, steps
from benchmarks.compare import compare
from benchmarks.growth import draw_growth
from benchmarks.machine import machine
from benchmarks.processes import PROCESSES, in_processes
from benchmarks.report import report
from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.files.atomic import write_together
from intrinsic.files.read_json import read_json
from intrinsic.terminal.command_parser import command_parser

HERE = Path(__file__).parent
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

Rows = list[dict[str, Any]]


def _huge(_: int) -> Rows:
    command = [sys.executable, "-m", "benchmarks.huge"]
    return [json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)]  # noqa: S603


SECTIONS: dict[str, Callable[[int], Iterable[dict[str, Any]]]] = {
    "steps": lambda count: in_processes("benchmarks.steps", steps.KEYS, count),
    "fit": lambda count: in_processes("benchmarks.in_fit", in_fit.KEYS, count),
    "parts": lambda _: step_parts.measure(DEVICE),
    "products": lambda _: products.measure(DEVICE),
    "size": lambda count: in_processes("benchmarks.size", size.KEYS, count),
    "huge": _huge,
    "start": lambda _: start.measure(),
    "peft": lambda _: [peft_step.measure(DEVICE)],
    "peers": lambda _: peers.measure() if peers.install() else [],
}


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write the three files or compare.

    Raises:
        UserError: if kernels are switched off, or the file to compare with cannot be read.
        SystemExit: with status 1 if a ratio is worse.
    """
    options = _options(arguments)
    if os.environ.get("INTRINSIC_KERNELS", "auto") != "auto":
        raise UserError("need INTRINSIC_KERNELS=auto to measure")
    before = read_json(options.compare or HERE / "results.json", remedy="make it with make bench")
    found = {
        name: {
            "machine": machine(DEVICE),
            "processes": options.processes,
            "rows": shown(SECTIONS[name](options.processes)),
        }
        for name in options.sections
    }
    if options.compare:
        lines = compare(found, before)
        print("\n".join(lines) or "no ratio is more than 10 % worse")
        sys.exit(1 if lines else 0)
    results = {name: found.get(name, before.get(name, {"machine": "", "rows": []})) for name in SECTIONS}
    write_together(
        {
            HERE / "results.json": lambda path: path.write_text(json.dumps(results, indent=1) + "\n"),
            HERE / "growth.png": lambda path: draw_growth(results["products"]["rows"], path),
            HERE / "RESULTS.md": lambda path: path.write_text(report(results)),
        }
    )


def _options(arguments: list[str] | None) -> Namespace:
    parser = command_parser("benchmarks", __doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)} (default: all)")
    parser.add_argument(
        "--compare", nargs="?", type=Path, const=HERE / "results.json", metavar="FILE", help="compare, write nothing"
    )
    parser.add_argument(
        "--processes", type=int, default=PROCESSES, metavar="N", help=f"for steps, fit and size (default: {PROCESSES})"
    )
    options = parser.parse_args(arguments)
    integer("--processes", options.processes, 1)
    options.sections = options.sections or list(SECTIONS)
    for name in options.sections:
        if name not in SECTIONS:
            raise UserError(f"there is no section {name}: need one of {', '.join(SECTIONS)}")
    return options


def shown(rows: Iterable[dict[str, Any]]) -> Rows:
    """The rows, each printed as it comes."""
    found = []
    for row in rows:
        found.append(row)
        print(
            "  ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()), file=sys.stderr
        )
    return found


if __name__ == "__main__":
    main()
