"""Other people's code in the same run, in a process and a folder of its own: its import names clash with ours.

The reference PyTorch port of Li et al. 2018, https://github.com/jgamper/intrinsic-dimensionality, is cloned: the wheel
of that name on PyPI (0.1) holds no code. Hadamard transforms come from PyPI.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import intrinsic
from benchmarks.step import make_step
from benchmarks.steps import NETWORKS
from benchmarks.timing import TURNS, ratio, seconds
from intrinsic.projections.hadamard import hadamard

FOLDER = Path(__file__).parent / ".peers"
SOURCE = "https://github.com/jgamper/intrinsic-dimensionality"
PACKAGES = ["hadamard-transform==0.2.0", "fht-cpu==1.0.1"]
DIM, NETWORK = 750, "MLP 784-200-200-10"
TRANSFORM = 1 << 18  # the power of two above the number of weights of the network


class Peer:
    """A process that runs one of the peer's steps when it is told to, and answers with the seconds it took."""

    def __init__(self, wrapper: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(FOLDER / "source")}
        command = [sys.executable, str(Path(__file__).with_name("peer_process.py")), wrapper, str(DIM)]
        self._process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.seconds(1)  # it is up, and has taken a step

    def seconds(self, count: int) -> float:
        """Mean seconds of a step over `count` steps."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(count, file=self._process.stdin, flush=True)
        return float(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def install() -> bool:
    """Get what is missing; False if it cannot be had."""
    commands = []
    if not (FOLDER / "source").is_dir():
        commands.append(["git", "clone", "--quiet", "--depth=1", SOURCE, str(FOLDER / "source")])
    if not (FOLDER / "packages").is_dir():
        target = ["--target", str(FOLDER / "packages")]
        commands.append([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *target, *PACKAGES])
    return all(subprocess.run(command, check=False).returncode == 0 for command in commands)  # noqa: S603


def measure() -> Iterator[dict[str, Any]]:
    """How many times as long as ours a peer takes: steps in a subspace of 750 of the MLP, and the transform."""
    for wrapper, kind in (("FastfoodWrap", intrinsic.Fastfood), ("DenseWrap", intrinsic.Dense)):
        step = make_step(intrinsic.Subspace(NETWORKS[NETWORK](), projection=kind, dim=DIM))
        seconds(step, 5)
        peer = Peer(wrapper)
        try:
            pairs = [(peer.seconds(5), seconds(step, 50 if wrapper == "FastfoodWrap" else 25)) for _ in range(TURNS)]
        finally:
            peer.close()
        times = [statistics.median(side) for side in zip(*pairs, strict=True)]
        yield {
            "what": f"step, {NETWORK}, d = {DIM}",
            "peer": f"jgamper {wrapper}",
            "ours": kind.__name__.lower(),
            "peer_ms": 1e3 * times[0],
            "ours_ms": 1e3 * times[1],
            "ratio": statistics.median(theirs / ours for theirs, ours in pairs),
        }
    yield from _transforms()


def _transforms() -> Iterator[dict[str, Any]]:
    sys.path.append(str(FOLDER / "packages"))
    from fht_cpu import fht  # type: ignore[import-not-found]
    from hadamard_transform import hadamard_transform  # type: ignore[import-not-found]

    x = torch.randn(TRANSFORM)
    array = x.numpy()
    ours = intrinsic.Fastfood(DIM, TRANSFORM, seed=0)
    z, out = torch.randn(DIM), torch.empty(TRANSFORM)
    for name, call in (
        ("hadamard-transform 0.2.0", lambda: hadamard_transform(x)),
        ("fht-cpu 1.0.1", lambda: fht(array, inplace=False)),
    ):
        for label, other in (
            ("intrinsic.projections.hadamard, the same transform", lambda: hadamard(x)),
            ("fastfood P z of as many weights, d = 750", lambda: ours.displace(z, x, out)),
        ):
            times, baseline = ratio(call, other)
            row = {"what": f"one transform of 2^{TRANSFORM.bit_length() - 1}", "peer": name, "ours": label}
            yield {**row, "peer_ms": 1e3 * times * baseline, "ours_ms": 1e3 * baseline, "ratio": times}
