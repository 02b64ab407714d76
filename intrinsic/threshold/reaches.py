"""Whether scores reach a target."""

from typing import Any

import numpy as np

ROUNDING = 1e-12  # of the target: sums of hundreds of scores are as exact, and no score means so little


def reaches(scores: Any, targets: Any) -> Any:
    """Whether scores are at least their targets, where nothing but rounding parts them: 0.36 reaches 0.9 * 0.4."""
    return scores >= targets - ROUNDING * np.abs(targets)
