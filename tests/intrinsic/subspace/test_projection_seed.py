"""P from a seed of its own: the same P as another net's, around another start, and back from a file."""

import pytest
import torch
from torch import nn

import intrinsic
from intrinsic.subspace.recipe import recipe


def net(**seeds):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    return intrinsic.Subspace(model, space=intrinsic.LoRA(rank=2), projection=intrinsic.Dense, dim=5, **seeds)


def test_it_draws_p_and_nothing_else(tmp_path):
    own, other, usual = net(seed=1, projection_seed=2), net(seed=2), net(seed=1)
    z = torch.ones(5)
    assert torch.equal(own.projection(z), other.projection(z))
    assert not torch.equal(own.projection(z), usual.projection(z))
    assert all(torch.equal(a, b) for a, b in zip(own.model.parameters(), usual.model.parameters(), strict=True))
    assert "projection_seed" not in recipe(usual)
    with torch.no_grad():
        own.z += 1
    intrinsic.save(own, tmp_path / "own.safetensors")
    torch.manual_seed(0)
    again = intrinsic.load(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)), tmp_path / "own.safetensors")
    assert (again.projection_seed, again.fingerprint()) == (2, own.fingerprint())
    x = torch.linspace(-1, 1, 12).view(2, 6)
    assert torch.equal(again.eval()(x), own.eval()(x))
    assert own.around(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))).projection_seed == 2


def test_it_is_an_integer():
    with pytest.raises(intrinsic.UserError, match="need an integer projection_seed >= 0, got projection_seed=-1"):
        net(projection_seed=-1)
