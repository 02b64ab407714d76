"""Made-up scores along a curve whose threshold is known."""

import numpy as np

DIMS = [10, 20, 40, 80, 160, 320, 640]


def curve(dims, threshold=100.0):
    """A logistic in log d whose value at the threshold is 0.9."""
    return 1 / (1 + (np.asarray(dims, float) / threshold) ** -3 / 9)


GOOD = {"dims": DIMS, "scores": [0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95], "baselines": [1.0]}
