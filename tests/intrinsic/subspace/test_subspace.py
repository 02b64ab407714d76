"""What people do to a module: casts, copies, odd layers, flags, tracers, files of strangers."""

import copy
import re

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import intrinsic
from intrinsic.layers.low_rank import low_rank
from tests.support.projections import every_class
from tests.support.tied import Tied


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def moved(net):
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.linspace(-1, 1, parameter.numel(), dtype=parameter.dtype).view_as(parameter))
    return net


@every_class
def test_casts_leave_the_projection_and_the_coordinates_exact(projection, tmp_path):
    net = moved(intrinsic.Subspace(network(), projection=projection, dim=20))
    before, z = net.projection(net.z).detach(), net.z.detach().clone()
    for cast in ("half", "bfloat16", "float"):
        getattr(net, cast)()
        assert net.z.dtype == torch.float32
        assert torch.equal(net.z, z)
        assert torch.equal(net.projection(net.z), before)
    double = intrinsic.Subspace(network(), projection=projection, dim=20).double()
    intrinsic.save(double, tmp_path / "z.safetensors")
    intrinsic.load(network().double(), tmp_path / "z.safetensors")  # the same P
    assert net(torch.rand(2, 6)).dtype == torch.float32


@every_class
def test_half_models_train(projection, tmp_path):
    net = intrinsic.Subspace(network().bfloat16(), projection=projection, dim=20)
    net(torch.rand(2, 6).bfloat16()).float().sum().backward()
    assert net.z.grad.abs().sum() > 0
    intrinsic.save(net, tmp_path / "z.safetensors")
    intrinsic.load(network().bfloat16(), tmp_path / "z.safetensors")


@every_class
def test_autocast_does_not_round_the_offset(projection):
    net = moved(intrinsic.Subspace(network(), projection=projection, dim=20))
    with torch.no_grad():
        expected = net.projection(net.z)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(net.projection(net.z), expected)
            assert net(torch.rand(2, 6)).dtype == torch.bfloat16  # the layers still run in half precision


def test_evaluation_sees_every_change_of_the_origin_and_of_copies():
    net, x = moved(intrinsic.Subspace(network(), projection=intrinsic.Fastfood, dim=20)).eval(), torch.rand(2, 6)
    with torch.no_grad():
        net(x)
        other = copy.deepcopy(net)
        other.load_state_dict({**net.state_dict(), "z": torch.zeros(20)})
        torch.testing.assert_close(other(x), network()(x))
        for parameter in net.model.parameters():
            parameter.data.zero_()
        offset = net.projection(net.z)[: 6 * 16].view(16, 6)
        torch.testing.assert_close(net.weights()["0.weight"], offset)
    with torch.inference_mode():
        net(x)
    net(x).sum().backward()
    assert net.z.grad is not None


def test_a_state_dict_of_another_projection_is_refused():
    states = {seed: intrinsic.Subspace(network(), projection=intrinsic.Dense, dim=9, seed=seed) for seed in (0, 1)}
    with pytest.raises(intrinsic.UserError, match="the state dict belongs to another P"):
        states[1].load_state_dict(states[0].state_dict())


def test_freezing_and_thawing_keeps_what_is_trained():
    net = intrinsic.Subspace(network(), space=intrinsic.LoRA(1))
    names = [name for name, _ in net.named_parameters()]
    net.requires_grad_(False).requires_grad_(True)
    assert [name for name, _ in net.named_parameters()] == names
    assert all(parameter.requires_grad == (name in names) for name, parameter in nn.Module.named_parameters(net))


@pytest.mark.parametrize(("mode", "trained", "head"), [("train", 10 + 28, 28), ("freeze", 10, 0), ("project", 10, 0)])
def test_a_tied_head_is_found(mode, trained, head):
    net = intrinsic.Subspace(Tied(), projection=intrinsic.Dense, dim=10, head=mode)
    assert (net.count()["trained"], net.count()["head"]) == (trained, head)
    assert net.full_dim == (48 if mode == "project" else 20)


def test_a_forward_may_have_any_argument():
    net = intrinsic.Subspace(Tied(), projection=intrinsic.Dense, dim=10)
    tokens = torch.arange(3)
    torch.testing.assert_close(net(tokens, weights=2.0), 2 * net(tokens))


def test_integers_and_empty_tensors_are_no_coordinates():
    model = network()
    model.quantised = nn.Parameter(torch.arange(5, dtype=torch.uint8), requires_grad=False)
    model.empty = nn.Parameter(torch.empty(0))
    for granularity in ("global", "tensor", "block"):
        net = moved(
            intrinsic.Subspace(
                copy.deepcopy(model), projection=intrinsic.Dense, dim=10, granularity=granularity, head="project"
            )
        )
        assert net.full_dim == sum(p.numel() for p in network().parameters())
        assert net.merge().quantised.tolist() == [0, 1, 2, 3, 4]
    assert intrinsic.Subspace(model).full_dim == net.full_dim


def test_bitfit_finds_biases_by_any_name():
    model = nn.ModuleDict({"a": nn.MultiheadAttention(4, 2), "l": nn.LSTM(4, 4), "head": nn.Linear(4, 2)})
    found = set(intrinsic.BitFit().wire(model, seed=0))
    assert found == {"a.in_proj_bias", "a.out_proj.bias", "l.bias_ih_l0", "l.bias_hh_l0", "head.bias"}


class Scaled(nn.Embedding):
    def forward(self, tokens):
        return 3 * super().forward(tokens)


def hooked():
    return torch.nn.utils.spectral_norm(nn.Linear(4, 4))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: Scaled(5, 4), "a forward of its own"),
        (lambda: nn.Embedding(5, 4, max_norm=1.0), "a max_norm"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), "a weight that is computed"),
        (hooked, "a weight that is computed from other numbers"),
    ],
)
def test_lora_refuses_layers_it_would_get_wrong(layer, reason):
    with pytest.raises(intrinsic.UserError, match=re.escape(reason)):
        low_rank(layer(), 2, 1.0, seed=0)


@pytest.mark.parametrize("projection", [intrinsic.Identity, intrinsic.Dense])
def test_the_padding_token_stays_as_it_is(projection):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(10, 4, padding_idx=2), nn.Linear(4, 3))
    dim = None if projection is intrinsic.Identity else 8
    net = intrinsic.Subspace(model, space=intrinsic.LoRA(2, targets=["0"]), projection=projection, dim=dim)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)  # with 0.5 the loss grows, and rounding with it
    for _ in range(3):
        optimizer.zero_grad()
        net(torch.arange(10)).square().sum().backward()
        optimizer.step()
    plain = net.merge()
    assert not plain[0].weight[2].any()
    assert plain[0].weight[1].any()
    torch.testing.assert_close(plain(torch.arange(10)), net(torch.arange(10)))


def test_a_copied_adapter_is_an_adapter():
    layer = low_rank(nn.Linear(4, 4), 2, 1.0, seed=0)
    assert type(copy.deepcopy(layer)) is type(layer)


def test_a_tracer_leaves_no_stand_ins_behind():
    projection = intrinsic.Fastfood(10, 4096 * 3, seed=0)
    with FakeTensorMode(allow_non_fake_inputs=True):
        projection(torch.ones(10))
    assert type(projection(torch.ones(10))) is torch.Tensor


def test_shared_buffers_are_saved(tmp_path):
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(6)
    model = nn.Sequential(norm, nn.Linear(6, 6), norm, nn.Linear(6, 3))
    net = intrinsic.Subspace(copy.deepcopy(model), projection=intrinsic.OneHot, dim=9)
    net(torch.rand(8, 6))
    intrinsic.save(net, tmp_path / "run.safetensors")
    again = intrinsic.load(model, tmp_path / "run.safetensors")
    x = torch.rand(2, 6)
    torch.testing.assert_close(again.eval()(x), net.eval()(x))


def test_a_failed_load_leaves_the_model_alone(tmp_path):
    intrinsic.save(intrinsic.Subspace(network(), space=intrinsic.LoRA(2)), tmp_path / "run.safetensors")
    model = network(seed=1)
    with pytest.raises(intrinsic.UserError, match="belongs to another model or seed"):
        intrinsic.load(model, tmp_path / "run.safetensors")
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert [type(module) for module in model] == [nn.Linear, nn.ReLU, nn.Linear]
