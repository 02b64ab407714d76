"""R between singular vectors: the formula, in float64, and what has no such update."""

import pytest
import torch
from torch import nn

import intrinsic
from intrinsic.errors import UserError
from intrinsic.layers.low_rank.truncated_svd import truncated_svd


def model(**options):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(30, 20, **options), nn.Tanh(), nn.Linear(20, 4))


@pytest.mark.parametrize("rank", [2, 10])  # by ARPACK, by LAPACK
@pytest.mark.parametrize("singular", ["output", "input"])
def test_the_update_is_the_formula(rank, singular):
    plain = model().double()
    W = plain[0].weight.detach().clone()
    net = intrinsic.Subspace(plain, space=intrinsic.LoRAXS(rank, alpha=3.0, singular=singular))
    R = torch.randn(rank, rank, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        net.model.get_parameter("0.lora_R").copy_(R)
    U, sigma, V = torch.linalg.svd(W)
    signs = U.gather(0, U.abs().argmax(0, keepdim=True)).sign()[0, :rank]
    inner = sigma[:rank, None] * R if singular == "output" else R * sigma[:rank]
    expected = W + 3.0 / rank * (U[:, :rank] * signs) @ inner @ (signs[:, None] * V[:rank])
    torch.testing.assert_close(net.model[0].weight.detach(), expected)
    x = torch.randn(5, 30, dtype=torch.float64)
    torch.testing.assert_close(net(x), net.merge()(x))


def test_a_weight_of_zeros_has_singular_vectors():
    U, sigma, V = truncated_svd(torch.zeros(30, 20), 2)
    assert not sigma.any()
    torch.testing.assert_close(U.T @ U, torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(V @ V.T, torch.eye(2, dtype=torch.float64))


def test_it_is_loaded_from_what_is_trained_alone(tmp_path):
    net = intrinsic.Subspace(model(), space=intrinsic.LoRAXS(3))
    with torch.no_grad():
        net.model.get_parameter("0.lora_R").normal_()
    assert not [name for name in net.model.state_dict() if name.endswith(("lora_U", "lora_V"))]
    intrinsic.save(net, tmp_path / "run.safetensors")
    again = intrinsic.load(model(), tmp_path / "run.safetensors")
    x = torch.randn(5, 30)
    assert torch.equal(again(x), net(x))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rank": 21}, "0: need rank <= 20 for a matrix of 20 x 30, got rank=21"),
        ({"rank": 2, "singular": "both"}, "need singular=output or input, got singular=both"),
        ({"rank": 2, "targets": ["1"]}, "targets='1' matches no Linear"),
    ],
)
def test_what_has_no_such_update(options, match):
    with pytest.raises(UserError, match=match):
        intrinsic.Subspace(model(), space=intrinsic.LoRAXS(**options))
