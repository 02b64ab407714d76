"""Spectrum: planted ranks and intruders, and its nulls."""

import numpy as np
import pytest
import torch

from analysis.references.marchenko_pastur import marchenko_pastur
from analysis.spectrum import effective_rank, energy, resemblance_of_random, spectrum, stable_rank
from tests.support.updates_study import gaussian, low_rank, moved, orthonormal

pytestmark = pytest.mark.usefixtures("unrendered")


def test_ranks_of_planted_values():
    assert effective_rank(np.array([2.0, 2, 2, 0])) == pytest.approx(3)
    assert stable_rank(np.array([2.0, 2, 2, 0])) == pytest.approx(3)
    p = np.array([0.5, 0.25, 0.25])
    assert effective_rank(8 * p) == pytest.approx(2**1.5)  # an entropy of 1.5 bits
    assert stable_rank(8 * p) == pytest.approx(1.5)
    assert [energy(8 * p, k) for k in (1, 2, 9)] == pytest.approx([2 / 3, 5 / 6, 1])


def test_a_planted_update_of_rank_three(study):
    moved(study, {"query.weight": (gaussian(40, 30, 0), low_rank(40, 30, 3, 1, size=0.5))}, rank=8)
    rows = spectrum(study).rows
    numbers = rows[rows["j"].isna() & (rows["run"] == "lora r=8")].set_index("quantity")["value"]
    assert numbers["effective rank"] == pytest.approx(3, rel=1e-4)
    assert numbers["stable rank"] == pytest.approx(3, rel=1e-4)
    assert numbers["energy at k"] == pytest.approx(1)
    assert rows.query("quantity == 'singular value' and run == 'lora r=8'")["value"].to_list() == pytest.approx(
        [0.5] * 3
    )
    assert spectrum(study, k=1).table.set_index("run").loc["lora r=8", "energy at 1"] == pytest.approx(1 / 3, rel=1e-4)


@pytest.mark.slow
def test_planted_intruders_are_found_and_none_in_the_weight_itself(study):
    origin = gaussian(200, 150, 0)
    left = torch.linalg.svd(origin, full_matrices=False)[0]
    intruders = orthonormal(200, 3, 1)  # a random direction resembles none of 150 in R^200
    assert (left.T @ intruders).abs().max() < 0.4
    update = 100 * intruders @ orthonormal(150, 3, 2).T
    moved(study, {"query.weight": (origin, update)}, rank=3)
    moved(study, {"query.weight": (origin, 0.5 * origin)}, "full")  # its directions are W_0's own
    for k, found in ((2, 2), (3, 3), (10, 3)):
        table = spectrum(study, k=k).table.set_index("run")
        assert table.loc[["lora r=3", "full"], "intruders"].to_list() == [found, 0]
    assert spectrum(study, epsilon=0.01).table.set_index("run").loc["lora r=3", "intruders"] == 0
    resemblance = spectrum(study).rows.query("quantity == \"largest |cosine| to W₀'s\" and run == 'full'")["value"]
    assert resemblance.to_list() == pytest.approx([1] * 64)


def test_the_nulls_of_a_spectrum():
    for shape in ((60, 60), (200, 40), (40, 200)):
        values = np.mean([np.linalg.svd(gaussian(*shape, seed), compute_uv=False) for seed in range(30)], axis=0)
        null = marchenko_pastur(shape, np.linalg.norm(values))
        assert np.linalg.norm(null) == pytest.approx(np.linalg.norm(values))
        np.testing.assert_allclose(null, values, atol=0.03 * values[0])  # of an asymptotic law, at 40 values
        assert effective_rank(null) == pytest.approx(effective_rank(values), rel=0.01)
    left = orthonormal(300, 100, 0)
    found = [float((left.T @ orthonormal(300, 1, seed)).abs().max()) for seed in range(1, 200)]
    assert np.median(found) == pytest.approx(resemblance_of_random((300, 100)), rel=0.03)
