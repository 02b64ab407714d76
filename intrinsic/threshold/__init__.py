"""The smallest number of parameters that is enough: d90 with its interval, comparisons, and the next dims to run."""

from intrinsic.threshold.compare_thresholds import compare_thresholds as compare_thresholds
from intrinsic.threshold.comparison import Comparison as Comparison
from intrinsic.threshold.estimate_threshold import estimate_threshold as estimate_threshold
from intrinsic.threshold.propose import propose as propose
from intrinsic.threshold.threshold import Threshold as Threshold
