"""The smallest number of parameters that is enough: d90 with its interval, and the next dims to run."""

from intrinsic.threshold.estimate_threshold import estimate_threshold as estimate_threshold
from intrinsic.threshold.propose import propose as propose
from intrinsic.threshold.threshold import Threshold as Threshold
