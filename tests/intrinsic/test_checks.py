"""Arguments of another kind, or out of range, in calls of the library: one line."""

import numpy as np
import pytest

import intrinsic
from intrinsic.errors import UserError
from tests.support.projections import every_class

THREE = [1, 2, 3]


@every_class
@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"seed": 2**64}, "need an integer seed from 0 to 18446744073709551615, got seed=18446744073709551616"),
        ({"seed": -1}, "need an integer seed from 0 to 18446744073709551615, got seed=-1"),
        ({"seed": "a"}, "need an integer seed from 0 to .*, got seed='a'"),
        ({"seed": True}, "need an integer seed from 0 to .*, got seed=True"),
        ({"full_dim": "a"}, "need an integer full_dim, got full_dim='a'"),
        ({"full_dim": 9.0}, r"need an integer full_dim, got full_dim=9\.0"),
        ({"dim": 3.0}, r"need an integer dim, got dim=3\.0"),
        ({"dim": 10}, "need 0 < dim <= full_dim, got dim=10, full_dim=9"),
    ],
)
def test_a_projection(projection, change, match):
    with pytest.raises(UserError, match=match):
        projection(**{"dim": 3, "full_dim": 9, "seed": 0, **change})


def test_numbers_of_numpy_are_numbers():
    one = intrinsic.Sparse(np.int64(3), np.int32(9), seed=np.uint64(5))
    assert one.fingerprint() == intrinsic.Sparse(3, 9, seed=5).fingerprint()
    measured = intrinsic.estimate_threshold(np.array(THREE), np.float32([0.1, 0.5, 0.9]), np.array([1.0]))
    assert measured == intrinsic.estimate_threshold(THREE, [float(np.float32(s)) for s in (0.1, 0.5, 0.9)], [1.0])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"dims": "abc"}, "need dims as a list of numbers, got dims='abc'"),
        ({"dims": 3}, "need dims as a list of numbers, got dims=3"),
        ({"scores": ["a", 2, 3]}, "need scores as a list of numbers, got 'a' in it"),
        ({"scores": [True, 2, 3]}, "need scores as a list of numbers, got True in it"),
        ({"baselines": 1.0}, "need baselines as a list of numbers, got baselines=1.0"),
        ({"baselines": [None]}, "need baselines as a list of numbers, got None in it"),
        ({"fraction": "x"}, "need a finite fraction, got fraction='x'"),
        ({"chance": "x"}, "need a finite chance, got chance='x'"),
        ({"confidence": None}, "need a finite confidence, got confidence=None"),
        ({"seed": -1}, "need an integer seed >= 0, got seed=-1"),
    ],
)
@pytest.mark.parametrize("name", ["estimate_threshold", "propose"])
def test_a_threshold(name, change, match):
    size = {"low": 1, "high": 9, "batch": 2} if name == "propose" else {}
    with pytest.raises(UserError, match=match):
        getattr(intrinsic, name)(**{"dims": THREE, "scores": [0.1, 0.5, 0.9], "baselines": [1.0], **size, **change})


def test_sizes_of_a_proposal_and_draws_of_an_estimate():
    for change, match in (({"low": "a"}, "need a finite low, got low='a'"), ({"ratio": "a"}, "need a finite ratio")):
        with pytest.raises(UserError, match=match):
            intrinsic.propose([], [], [1.0], **{"low": 1, "high": 9, "batch": 2, **change})
    with pytest.raises(UserError, match="need an integer resamples, got resamples='a'"):
        intrinsic.estimate_threshold(THREE, THREE, [3], resamples="a")
