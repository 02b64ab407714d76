"""The metrics of GLUE: numbers of a whole split."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def _accuracy(outputs: Tensor, targets: Tensor) -> float:
    return (outputs.argmax(dim=-1) == targets).double().mean().item()


def _f1(outputs: Tensor, targets: Tensor) -> float:
    """2 tp / (2 tp + fp + fn) of class 1; 0 where there is none and none is predicted."""
    predicted, true = outputs.argmax(dim=-1) == 1, targets == 1
    hits, either = (predicted & true).sum().item(), predicted.sum().item() + true.sum().item()
    return 2 * hits / either if either else 0.0


def _matthews(outputs: Tensor, targets: Tensor) -> float:
    """The correlation of two classes, predicted and true, in [-1, 1]; 0 where one of them does not vary."""
    return _correlation((outputs.argmax(dim=-1) == 1).double(), (targets == 1).double())


def _pearson(outputs: Tensor, targets: Tensor) -> float:
    return _correlation(outputs.squeeze(-1).double(), targets.double())


def _spearman(outputs: Tensor, targets: Tensor) -> float:
    """Pearson's correlation of ranks, equal values sharing their mean rank."""
    from scipy.stats import rankdata  # slow to import, and only this metric needs it

    ranks = (torch.from_numpy(rankdata(values.numpy())) for values in (outputs.squeeze(-1), targets))
    return _correlation(*ranks) if bool(outputs.isfinite().all()) else math.nan


def _correlation(x: Tensor, y: Tensor) -> float:
    """sum x y / sqrt(sum x^2 sum y^2) about the means; 0 where one does not vary, NaN where one is not finite."""
    x, y = x - x.mean(), y - y.mean()
    scale = (x.square().sum() * y.square().sum()).sqrt()
    return 0.0 if scale == 0 else ((x * y).sum() / scale).item()


METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
}
