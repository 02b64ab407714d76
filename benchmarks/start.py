"""Commands as ratios to `import torch`, which nothing that trains does without: `python -m benchmarks.start`."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PROGRAM = Path(__file__).parents[1] / "run.py"
TURNS = 5
IMPORT = ["-c", "import torch"]
SWEEP = ["epochs=1", "rank=1,2,4,8", "seed=0,1,2,3,4,5,6,7,8,9"]


def measure() -> Iterator[dict[str, Any]]:
    """One row for each command, medians of a few turns: each turn has the command and the import."""
    with TemporaryDirectory() as folder:
        outputs = (f"output={folder}/{number}" for number in count())
        kept = f"output={folder}/kept"
        _seconds([str(PROGRAM), "-m", kept, *SWEEP])
        yield _row("import torch", lambda: IMPORT)
        yield _row("run.py, which trains the model on the source task first", lambda: [str(PROGRAM), next(outputs)])
        seeds = count(100)
        yield _row("run.py", lambda: [str(PROGRAM), kept, f"seed={next(seeds)}"])
        yield _row(
            "run.py method=subspace dim=100",
            lambda: [str(PROGRAM), kept, "method=subspace", "dim=100", f"seed={next(seeds)}"],
        )
        yield _row("run.py -m, 40 finished runs", lambda: [str(PROGRAM), "-m", kept, *SWEEP])


def _row(name: str, arguments: Any) -> dict[str, Any]:
    pairs = [(_seconds(arguments()), _seconds(IMPORT)) for _ in range(TURNS)]
    return {
        "command": name,
        "seconds": statistics.median(one for one, _ in pairs),
        "to_import": statistics.median(one / other for one, other in pairs),
    }


def _seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    return time.perf_counter() - start


if __name__ == "__main__":
    for row in measure():
        print(json.dumps(row), flush=True)
