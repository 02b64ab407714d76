"""The metrics of GLUE: numbers of a whole split, by scikit-learn and scipy."""

from collections.abc import Callable
from types import ModuleType

from torch import Tensor

from intrinsic.missing_package import missing_package


def _accuracy(outputs: Tensor, targets: Tensor) -> float:
    return (outputs.argmax(dim=-1) == targets).double().mean().item()


def _sklearn() -> ModuleType:
    try:
        import sklearn.metrics  # slow to import, as scipy.stats below
    except ImportError:
        raise missing_package("scikit-learn", "text") from None
    module: ModuleType = sklearn.metrics
    return module


def _f1(outputs: Tensor, targets: Tensor) -> float:
    """2 tp / (2 tp + fp + fn) of class 1; 0 where there is none and none is predicted."""
    return float(_sklearn().f1_score(targets == 1, outputs.argmax(dim=-1) == 1, zero_division=0))


def _matthews(outputs: Tensor, targets: Tensor) -> float:
    """The correlation of two classes, predicted and true, in [-1, 1]; 0 where one of them does not vary."""
    return float(_sklearn().matthews_corrcoef(targets == 1, outputs.argmax(dim=-1) == 1))


def _pearson(outputs: Tensor, targets: Tensor) -> float:
    """sum x y / sqrt(sum x^2 sum y^2) about the means; 0 where one does not vary, NaN where one is not finite."""
    from scipy.stats import pearsonr

    return _correlation(pearsonr, outputs, targets)


def _spearman(outputs: Tensor, targets: Tensor) -> float:
    """Pearson's correlation of ranks, equal values sharing their mean rank; 0 and NaN as there."""
    from scipy.stats import spearmanr

    return _correlation(spearmanr, outputs, targets)


def _correlation(by: Callable, outputs: Tensor, targets: Tensor) -> float:
    x, y = outputs.squeeze(-1).double(), targets.double()
    if not bool(x.isfinite().all()):
        return float("nan")
    if bool((x == x[0]).all()) or bool((y == y[0]).all()):
        return 0.0
    return float(by(x.numpy(), y.numpy()).statistic)


METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
}
