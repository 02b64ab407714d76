"""The choice of weights: distinct, in order, each set as likely as any other."""

import pytest
import torch

import intrinsic


@pytest.mark.parametrize(("dim", "full_dim"), [(1, 1), (3, 3), (7, 10), (499, 1000), (501, 1000), (3, 10**12)])
def test_distinct_and_in_order(dim, full_dim):
    index = intrinsic.Select(dim, full_dim, seed=4).index
    assert len(index) == dim
    assert bool((index.diff() > 0).all())
    assert int(index[0]) >= 0
    assert int(index[-1]) < full_dim


@pytest.mark.parametrize(("dim", "full_dim"), [(2, 5), (3, 5)])
def test_every_set_is_as_likely(dim, full_dim):
    """Ten sets, each in a tenth of 2,000 seeds, within 4.5 standard errors."""
    found = torch.stack([intrinsic.Select(dim, full_dim, seed=seed).index for seed in range(2000)])
    sets, counts = found.unique(dim=0, return_counts=True)
    assert len(sets) == 10
    assert (counts / 2000 - 0.1).abs().max() < 4.5 * (0.1 * 0.9 / 2000) ** 0.5


def test_no_more_is_read_than_is_chosen():
    """What stands elsewhere is not even looked at: NaN in a frozen place is no business of z."""
    P, g = intrinsic.Select(4, 100, seed=0), torch.full((100,), torch.nan)
    g[P.index] = torch.arange(4.0)
    assert P.multiply_pieces((g[:37], g[37:]), out=torch.empty(4)).equal(torch.arange(4.0))
