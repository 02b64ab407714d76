"""The trained coordinates z with few levels: how many bits they take, and what the network then scores.

python run.py -m method=subspace dim=100,300,1000 study=STUDY      makes subspaces
python -m experiments.quantize outputs/STUDY                       a file quantize.safetensors beside each record
python -m analysis.bound outputs/STUDY                             bits against accuracy, and what they guarantee
"""

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from experiments.finished.guess import guess
from experiments.finished.measure import Measurement, measure
from experiments.finished.reopen import TrainedRun
from experiments.terminal.progress import tracked
from intrinsic.errors import UserError
from intrinsic.files.seed_of import seed_of
from intrinsic.missing_package import missing_package
from intrinsic.training.evaluate import evaluate

LEVELS = (2, 3, 4, 6, 8, 12, 16, 32)
SPLITS = ("train", "test")
BITS = ("seed", "z", "codebook")
TURNS = 50  # of k-means, from the quantiles
HALF, WORD = 16, 32  # bits: of a level, float16, and of the coder's unit


@dataclass(frozen=True)
class Message:
    """What a receiver who has the program, and not the data, needs to build the trained network.

    The seed that draws theta_0 and P, or one for each where they are two; d and L; L levels as float16; how often each
    occurs, all but the last; and the arithmetic code of the d symbols under these frequencies, after its length.
    Integers that nothing bounds are in Elias's gamma code, so that no message is the beginning of another.
    """

    seeds: tuple[int, ...]
    dim: int
    codebook: np.ndarray  # (L,) float16, rising
    counts: np.ndarray  # (L,) with the sum d
    words: np.ndarray  # (n,) uint32

    @classmethod
    def of(cls, z: np.ndarray, levels: int, *seeds: int) -> Self:
        """The message of z (d,) brought to the nearest of at most so many levels, by k-means."""
        codebook = _codebook(z, levels)
        symbols = np.abs(z[:, None] - codebook.astype(float)).argmin(1)
        used, symbols, counts = np.unique(symbols, return_inverse=True, return_counts=True)
        encoder = _coder().stream.queue.RangeEncoder()
        if len(used) > 1:
            encoder.encode(symbols.astype(np.int32), _frequencies(counts))
        return cls(seeds, len(z), codebook[used], counts, encoder.get_compressed())

    def decode(self) -> np.ndarray:
        """The quantised z (d,), exactly."""
        if len(self.codebook) == 1:
            return np.repeat(self.codebook, self.dim)
        decoder = _coder().stream.queue.RangeDecoder(self.words)
        return self.codebook[decoder.decode(_frequencies(self.counts), self.dim)]

    def bits(self) -> dict[str, int]:
        """Its length by parts: `seed`, with d and L; `z`, the code and its frequencies; `codebook`."""
        count = (self.dim).bit_length()  # of a number from 0 to d
        return {
            "seed": sum(gamma(seed + 1) for seed in self.seeds) + gamma(self.dim) + gamma(len(self.codebook)),
            "z": (len(self.codebook) - 1) * count + gamma(len(self.words) + 1) + WORD * len(self.words),
            "codebook": HALF * len(self.codebook),
        }


def gamma(number: int) -> int:
    """The bits of Elias's gamma code of a number >= 1: 2 floor(log2 number) + 1."""
    return 2 * number.bit_length() - 1


def quantize(run: TrainedRun, *, levels: tuple[int, ...] = LEVELS) -> Measurement:
    """Bring z to L levels, write the shortest message that gives the network back, and score that network.

    Levels are the means of k-means over the d numbers, in float16. The message is decoded again, and what it says is
    what is scored. Arrays: `levels` (n,), those that are used; `bits/seed`, `bits/z`, `bits/codebook` (n,), see
    `Message`; `train`, `test` (n,), the share of correct answers. Values: dim d, examples of the training split, exact,
    the scores of z as it is, and guess, those of a constant answer. Cost: for each L two splits and a k-means.

    Raises:
        UserError: for levels out of range; a run that trained more than z, or statistics of a model; a task whose
            metric is not accuracy.
    Source: Lotfi, Finzi, Kapoor, Potapczynski, Goldblum, Wilson 2022, PAC-Bayes compression bounds so tight that they
    can explain generalization, arXiv:2211.13609, section 4; they train with the levels, here z is rounded afterwards.
    """
    _check(run, levels)
    z = run.net.z.detach().clone()
    seeds = dict.fromkeys(seed_of(run.setup.config, source) for source in ("init", "projection"))
    exact = {split: _accuracy(run, split) for split in SPLITS}
    rows: list[dict[str, Any]] = []
    for count in tracked(levels, "levels"):
        message = Message.of(z.cpu().double().numpy(), count, *seeds)
        with torch.no_grad():
            run.net.z.copy_(torch.from_numpy(message.decode().astype(np.float64)))
        bits = {f"bits/{part}": size for part, size in message.bits().items()}
        rows.append({"levels": len(message.codebook)} | bits | {split: _accuracy(run, split) for split in SPLITS})
    arrays: dict[str, Tensor] = {}
    for name in rows[0]:
        arrays[name] = torch.tensor([row[name] for row in rows], dtype=torch.float64 if name in SPLITS else None)
    values = {"dim": len(z), "examples": len(run.task.train), "exact": exact, "guess": guess(run.task, run.task.test)}
    return values, arrays


def _accuracy(run: TrainedRun, split: str) -> float:
    return evaluate(run.net, run.task, getattr(run.task, split))["accuracy"]


def _codebook(z: np.ndarray, levels: int) -> np.ndarray:
    """At most so many levels (L,), float16, rising."""
    if np.abs(z).max() > np.finfo(np.float16).max:
        raise UserError(f"z reaches {np.abs(z).max():.3g}, which float16 cannot hold: train with a smaller lr")
    first = np.unique(np.quantile(z, (np.arange(levels) + 0.5) / levels))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty")  # a level that nothing is near to
        centres, _ = kmeans2(z, first, iter=TURNS, minit="matrix")
    found: np.ndarray = np.unique(centres.astype(np.float16))
    return found


def _frequencies(counts: np.ndarray) -> Any:
    return _coder().stream.model.Categorical(counts / counts.sum(), perfect=False)


def _coder() -> Any:
    try:
        import constriction
    except ImportError:
        raise missing_package("constriction", "program") from None
    return constriction


def _check(run: TrainedRun, levels: tuple[int, ...]) -> None:
    wrong = [count for count in levels if not 2 <= count <= 2**HALF]
    if wrong or not levels:
        raise UserError(f"need --levels from 2 to {2**HALF}, got {wrong[0] if wrong else 'none'}")
    beside = [name for name, p in run.net.named_parameters() if p.requires_grad and name != "z"]
    if beside or run.net.identity:
        raise UserError(
            f"method={run.record.method} trains {beside[0] if beside else 'weights'}, which a message of z would not "
            f"give back: need method=subspace, with nothing trained beside z"
        )
    make = run.net.make_projection
    reasons = {
        "redraw has moved the weights by other z before": run.net.moves_base,
        f"{getattr(make, 'func', make).__name__} was made of the training data": run.net.projection.from_data,
        "init=burnin has trained theta_0 on the training data": bool(run.record.count("init_steps")),
    }
    for reason, holds in reasons.items():
        if holds:
            raise UserError(f"a message of seed and z does not give the network back: {reason}")
    if run.task.score is None or run.task.metric != "accuracy" or run.task.tokens is not None:
        raise UserError(f"a bound on the error needs a task whose metric is accuracy, got {run.task.metric}")
    before = dict(run.start.model.named_buffers())
    moved = [name for name, buffer in run.net.model.named_buffers() if not torch.equal(buffer, before[name])]
    if moved:
        raise UserError(f"{moved[0]} was learned from the data beside z: need a model without statistics of its inputs")


if __name__ == "__main__":
    measure(quantize, method="subspace")
