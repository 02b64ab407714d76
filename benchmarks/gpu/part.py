"""A part of the measurement: a process of its own, so that what it does to the GPU ends with it, and a time box."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import Any

WORKER = (sys.executable, "-m", "benchmarks.gpu.worker")


@dataclass
class Part:
    """What a part gives: `rows`, a `status` (whole, cut, failed) and the `reason` for any but the first.

    Args:
        name: a module beside this file, and its further arguments.
        box: seconds that it may take.
    """

    name: tuple[str, ...]
    box: float
    rows: list[dict[str, Any]] = field(default_factory=list)
    status: str = "left out"
    reason: str = "no time was left"
    seconds: float = 0.0
    peak_mb: float = 0.0

    def run(self, device: str, scale: str, box: float) -> None:
        """Run the part, for `box` seconds at most; never raises for what the part does."""
        start, self.status, self.reason = time.monotonic(), "failed", ""
        with tempfile.TemporaryFile("w+", errors="replace") as errors:
            process = subprocess.Popen(  # noqa: S603
                [*WORKER, *self.name, device, scale],
                stdout=subprocess.PIPE, stderr=errors, encoding="utf-8",
            )  # fmt: skip
            timer = threading.Timer(box, process.kill)
            timer.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    if line.endswith("\n"):  # else the process ended while it wrote
                        self._take(json.loads(line))
                process.wait()
            finally:
                timer.cancel()
                process.kill()
            if self.status == "failed" and not self.reason and time.monotonic() - start >= box:
                self.status, self.reason = "cut", f"its {box:.0f} s were over"
            elif self.status == "failed" and not self.reason:
                errors.seek(0)
                said = [line.strip() for line in errors if line.strip()]
                self.reason = f"ended with status {process.returncode}: {(said or ['no word'])[-1][:200]}"
        self.seconds = time.monotonic() - start

    def _take(self, message: dict[str, Any]) -> None:
        if "row" in message:
            self.rows.append(message["row"])
            self.peak_mb = max(self.peak_mb, message["peak_mb"])
        else:
            self.status = "whole" if message["whole"] else "failed"
            self.reason = message.get("reason", "")

    def to_dict(self) -> dict[str, Any]:
        """For the file of results."""
        names = ("rows", "status", "reason", "seconds", "peak_mb")
        return {"name": " ".join(self.name), **{name: getattr(self, name) for name in names}}
