"""Amplification: its formula, its null and planted directions."""

import numpy as np
import pytest
import torch

from analysis.amplification import amplification
from tests.support.updates_study import gaussian, moved, random_runs

pytestmark = pytest.mark.usefixtures("unrendered")


def test_amplification_is_that_of_its_formula(study):
    origin, update = gaussian(12, 8, 0), gaussian(12, 8, 1)
    moved(study, {"query.weight": (origin, update)}, "full")
    drawn = amplification(study)
    u, _, vt = np.linalg.svd(update.numpy())
    values = np.linalg.svd(origin, compute_uv=False)
    for row in drawn.rows.itertuples():
        inside = np.linalg.norm(u[:, : row.r].T @ origin.numpy() @ vt[: row.r].T)
        norms = np.linalg.norm(update), np.linalg.norm(origin)
        assert row.factor_update == pytest.approx(norms[0] / inside, rel=1e-5)
        assert row.factor_origin == pytest.approx(norms[0] / np.linalg.norm(values[: row.r]), rel=1e-5)
        assert row.factor_expected == pytest.approx(norms[0] / (row.r * norms[1] / np.sqrt(12 * 8)), rel=1e-5)
        assert (row.norm_update, row.norm_origin) == pytest.approx(norms, rel=1e-5)
    assert drawn.rows["r"].to_list() == [1, 2, 4, 8]
    assert drawn.table["r"].to_list() == [8]


def test_amplification_of_random_and_of_planted_directions(study):
    """Random updates are at the null; an update inside the leading directions of W_0 is at W_0's own factor."""
    random_runs(study, ranks=(8,), seeds=range(4))
    drawn = amplification(study).rows
    ratio = (drawn["within_update"] ** 2).mean() / (drawn["within_expected"] ** 2).mean()
    assert ratio == pytest.approx(1, abs=0.2)  # of 12 squares whose standard deviation is about a fifth
    assert (drawn["within_random"] ** 2).mean() / (drawn["within_expected"] ** 2).mean() == pytest.approx(1, abs=0.2)
    u, values, vt = torch.linalg.svd(gaussian(40, 30, 0), full_matrices=False)
    inside = u[:, :4] @ torch.diag(values[:4]) @ vt[:4]
    moved(study.with_name("inside"), {"query.weight": (gaussian(40, 30, 0), inside)}, rank=4)
    (row,) = amplification(study.with_name("inside")).rows.itertuples()
    assert row.factor_update == pytest.approx(1, rel=1e-5)  # ||dW|| is all that W_0 has there
    assert row.factor_origin == pytest.approx(1, rel=1e-5)
    assert row.factor_expected > 2
