"""Vectors between random matrices: the formula, in float64, and what all layers share."""

import numpy as np
import pytest
import torch
from torch import nn

import intrinsic
from intrinsic import rng
from intrinsic.errors import UserError


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(30, 20), nn.Tanh(), nn.Linear(20, 24), nn.Tanh(), nn.Linear(24, 4))


def matrices(net, name):
    layer = net.model.get_submodule(name)
    return layer.vera_A, layer.vera_B


def test_the_update_is_the_formula():
    plain = model().double()
    W = plain[0].weight.detach().clone()
    net = intrinsic.Subspace(plain, space=intrinsic.VeRA(5, alpha=3.0), seed=7)
    A, B = (matrix.numpy() for matrix in matrices(net, "0"))
    generator = torch.Generator().manual_seed(1)
    b, d = (torch.randn(size, dtype=torch.float64, generator=generator) for size in (20, 5))
    with torch.no_grad():
        net.model.get_parameter("0.vera_b").copy_(b)
        net.model.get_parameter("0.vera_d").copy_(d)
    expected = W.numpy() + 3.0 / 5 * np.diag(b) @ B @ np.diag(d) @ A
    np.testing.assert_allclose(net.model[0].weight.detach(), expected)
    x = torch.randn(5, 30, dtype=torch.float64)
    torch.testing.assert_close(net(x), net.merge()(x))


def test_layers_share_what_is_drawn_and_it_is_even():
    net = intrinsic.Subspace(model(), space=intrinsic.VeRA(16, alpha=16.0), seed=7)
    (A, B), (other_A, other_B) = matrices(net, "0"), matrices(net, "2")
    torch.testing.assert_close(A[:, :20] * 30**0.5, other_A * 20**0.5)
    torch.testing.assert_close(B, other_B[:20])
    assert float(A.abs().max()) <= (6 / 30) ** 0.5
    assert float(other_B.std()) == pytest.approx((2 / 16) ** 0.5, rel=0.05)
    seed = rng.fan_out(net.model[0].seed, "B")
    expected = (2 * rng.uniforms(seed, 320).reshape(20, 16) - 1) * (6 / 16) ** 0.5
    np.testing.assert_array_equal(B, expected.astype(np.float32))
    again = intrinsic.Subspace(model(), space=intrinsic.VeRA(16, alpha=16.0), seed=8)
    assert not torch.equal(matrices(again, "0")[0], A)
    assert again.fingerprint() != net.fingerprint()


def test_it_is_loaded_from_what_is_trained_alone(tmp_path):
    net = intrinsic.Subspace(model(), space=intrinsic.VeRA(3), seed=5)
    with torch.no_grad():
        net.model.get_parameter("0.vera_b").normal_()
    assert not [name for name in net.model.state_dict() if name.endswith(("vera_A", "vera_B"))]
    intrinsic.save(net, tmp_path / "run.safetensors")
    again = intrinsic.load(model(), tmp_path / "run.safetensors")
    x = torch.randn(5, 30)
    assert torch.equal(again(x), net(x))


def test_a_rank_beyond_the_matrix():
    net = intrinsic.Subspace(model(), space=intrinsic.VeRA(50, targets=["0"]))
    assert dict(zip(net.coordinate_names, net.coordinate_sizes, strict=True)) == {"0.vera_d": 50, "0.vera_b": 20}


def test_what_has_no_such_update():
    with pytest.raises(UserError, match="targets='1' matches no Linear"):
        intrinsic.Subspace(model(), space=intrinsic.VeRA(3, targets=["1"]))
