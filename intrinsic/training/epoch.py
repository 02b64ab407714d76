"""The results of one pass over the training split."""

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training split gave.

    Args:
        epoch: its number, from 1.
        train_loss: the mean loss of its batches, each before its step; not finite if training diverged.
        validation: "loss" and the task's metric or metrics after the epoch.
        test: the same on the test split; None where it was not measured: test data is only reported, so it is measured
            when validation is at its best so far, and at the end.
        best: whether validation is at its best so far.
        seconds: for training and measuring.
        train: "loss" and the metric on the training split, in evaluation mode like the others; measured when the run
            ends, None before. None also after divergence, and in a checkpoint from before it was measured.
    """

    epoch: int
    train_loss: float
    validation: dict[str, float]
    test: dict[str, float] | None
    best: bool
    seconds: float
    train: dict[str, float] | None = None

    @property
    def diverged(self) -> bool:
        """Whether the loss stopped being finite."""
        return not math.isfinite(self.train_loss) or not math.isfinite(self.validation["loss"])

    def to_dict(self) -> dict[str, Any]:
        """For records."""
        return asdict(self)
