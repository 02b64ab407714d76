"""torch's global random state for a while."""

import pytest
import torch

from intrinsic.training.seeded import seeded

CPU = torch.device("cpu")


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_it_draws_what_torch_draws_from_the_seed_and_leaves_the_state(seed):
    torch.manual_seed(5)
    outside = torch.rand(3), torch.rand(3)
    torch.manual_seed(seed)
    expected = torch.rand(4), torch.randn(4)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), outside[0])
    with seeded(seed, CPU):
        assert torch.equal(torch.rand(4), expected[0])
        assert torch.equal(torch.randn(4), expected[1])
    assert torch.equal(torch.rand(3), outside[1])
    with pytest.raises(KeyError, match="inside"), seeded(seed, CPU):
        raise KeyError("inside")
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), outside[0])
