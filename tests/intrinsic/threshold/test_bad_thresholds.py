"""What no threshold can be estimated from ends in one line."""

import math

import pytest

import intrinsic
from intrinsic.threshold import estimate_threshold
from tests.support.curves import DIMS, GOOD

BAD = [
    ({"dims": [10, 10, 20], "scores": [0, 0, 1]}, "need at least 3 distinct dims, got 2"),
    ({"dims": DIMS[:-1]}, "need one score for each dim, got 6 dims and 7 scores"),
    ({"dims": [0, *DIMS[1:]]}, "need whole dims from 1 on, got dim=0"),
    ({"dims": [1.5, *DIMS[1:]]}, "need whole dims from 1 on, got dim=1.5"),
    ({"baselines": []}, "need at least one baseline, got none"),
    ({"baselines": [math.inf]}, "need finite baselines, got inf"),
    ({"baselines": [-1.0]}, "need a baseline above 0, got a mean of -1; give the score of a guess as floor"),
    ({"scores": [math.nan] * 7}, "need finite scores, got nan"),
    ({"fraction": 1.0}, "need 0 < fraction < 1, got fraction=1.0"),
    ({"chance": 1.0}, "need a baseline above chance, got a mean of 1 and chance=1"),
    ({"chance": 0.5, "lower_is_better": True}, "need a baseline below chance, got a mean of 1 and chance=0.5"),
    ({"chance": math.nan}, "need a finite chance"),
    ({"floor": 1.1}, "need a baseline above floor, got a mean of 1 and floor=1.1"),
    ({"floor": 0.1, "chance": 0.1}, "need floor or chance, its older name, got floor=0.1 and chance=0.1: leave one"),
    ({"start": math.inf}, "need a finite start, got start=inf"),
    ({"estimator": "spline"}, "need estimator=auto, logistic, isotonic, first_crossing, got spline"),
    ({"estimand": "median"}, "need estimand=mean or success, got median"),
    ({"confidence": 95}, "need 0 < confidence < 1, got confidence=95"),
    ({"resamples": 10}, "need at least 100 resamples for an interval, got resamples=10"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input(change, message):
    with pytest.raises(intrinsic.UserError, match=message) as raised:
        estimate_threshold(**GOOD | change)
    assert "\n" not in str(raised.value)
