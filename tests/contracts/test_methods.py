"""The contract of a method, one case for every file in conf/method: a space and a projection around a model."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import intrinsic
from tests.support.configs import names
from tests.support.methods import data, small, space_of, step, trained, wrap

every_method = pytest.mark.parametrize("method", names("method"))


@torch.no_grad()
def output(net):
    image, token, _ = data()
    return net.eval()(image, token)


@every_method
def test_nothing_changes_at_the_start(method):
    model = small(method)
    before = output(copy.deepcopy(model))
    torch.testing.assert_close(output(wrap(method, model)), before, atol=1e-12, rtol=0)


@every_method
def test_only_the_trained_numbers_are_parameters_and_only_they_move(method):
    net = wrap(method, small(method))
    before = copy.deepcopy(net.state_dict())
    counts = net.count()
    assert sum(parameter.numel() for parameter in net.parameters()) == counts["trained"]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        step(net, optimizer)
    trainable = {name for name, _ in net.named_parameters()}
    for name, tensor in net.state_dict().items():
        moved = not torch.equal(tensor, before[name])
        tied = name == "model.decoder.weight" and "model.embedding.weight" in trainable
        assert moved == (name in trainable or "norm.running" in name or "num_batches" in name or tied), name


@every_method
def test_gradient_is_the_projected_gradient(method):
    net = wrap(method, small(method)).eval()  # without dropout, so that both ways see the same function
    image, token, target = data()
    F.cross_entropy(net(image, token), target).backward()
    if isinstance(net.projection, intrinsic.Identity):  # no z: gradients are torch's own, of the space and the head
        assert all((p.grad is not None) == p.requires_grad for p in net.model.parameters())
        return
    plain = {name: weight.detach().requires_grad_() for name, weight in net.weights().items()}
    loss = F.cross_entropy(torch.func.functional_call(net.model, plain, (image, token)), target)
    flat = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(plain.values()))])
    torch.testing.assert_close(net.z.grad, net.projection.adjoint(flat), atol=1e-12, rtol=1e-9)


@every_method
def test_merging_gives_a_plain_model(method):
    net = trained(method)
    if hasattr(net.model.decoder, "lora_A"):
        with pytest.raises(intrinsic.UserError, match="shares its weight with another layer"):
            net.merge()
        net.model.decoder.base.weight = nn.Parameter(net.model.decoder.base.weight.detach().clone())  # untied
    plain = net.merge()
    torch.testing.assert_close(output(plain), output(net), atol=1e-12, rtol=0)
    modules, before = ([type(module) for module in model.modules()] for model in (plain, small(method)))
    assert bool(set(modules) - set(before)) != space_of(method).merges  # no weight holds what stays
    if space_of(method).merges:
        assert modules == before
        assert plain.state_dict().keys() == small(method).state_dict().keys()
    assert not any("lora" in name for name in plain.state_dict())
    assert all(parameter.requires_grad for parameter in plain.parameters())


@every_method
def test_evaluation_follows_every_change(method):
    net = wrap(method, small(method))
    first = output(net)
    with torch.no_grad():
        for parameter in net.parameters():
            change = torch.linspace(-0.1, 0.1, parameter.numel(), dtype=parameter.dtype)
            parameter.data.add_(change.view_as(parameter))  # behind autograd's back
    second = output(net)
    assert not torch.allclose(first, second)
    image, token, _ = data()
    torch.testing.assert_close(second, net(image, token).detach(), atol=1e-12, rtol=0)  # the path with gradients
    with torch.no_grad():
        net.model.convolution.bias.add_(1.0)  # theta_0 itself
    assert not torch.allclose(output(net), second)


@every_method
def test_state_dict_copies_and_moves(method):
    net, other = trained(method), wrap(method, small(method, seed=3), seed=0)
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(output(other), output(net), atol=1e-12, rtol=0)
    torch.testing.assert_close(output(copy.deepcopy(net)), output(net), atol=0, rtol=0)
    single = copy.deepcopy(net).float()
    image, token, _ = data()
    with torch.no_grad():
        torch.testing.assert_close(single(image.float(), token), output(net).float(), atol=1e-4, rtol=1e-4)


@every_method
def test_save_and_load(method, tmp_path):
    net = trained(method)
    intrinsic.save(net, tmp_path / "run.safetensors")
    again = intrinsic.load(small(method), tmp_path / "run.safetensors")
    torch.testing.assert_close(output(again), output(net), atol=0, rtol=0)
    assert again.fingerprint() == net.fingerprint()
    filled = intrinsic.load(wrap(method, small(method)), tmp_path / "run.safetensors")
    torch.testing.assert_close(output(filled), output(net), atol=0, rtol=0)


NOTHING_DRAWN = "lora_xs", "ia3"


@every_method
def test_the_seed_decides(method):
    with_seed = {seed: wrap(method, small(method), seed) for seed in (0, 1)}
    again = wrap(method, small(method), 0)
    for mine, other in zip(with_seed[0].state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(mine, other)
    assert with_seed[0].fingerprint() == again.fingerprint()
    added = again.model.state_dict().keys() - small(method).state_dict().keys()
    if isinstance(again.projection, intrinsic.Identity) and (not added or method in NOTHING_DRAWN):
        assert with_seed[0].fingerprint() == with_seed[1].fingerprint()
    elif isinstance(with_seed[0].projection, intrinsic.Identity) and method != "vera":  # whose are not trained
        rows = zip(with_seed[0].parameters(), with_seed[1].parameters(), strict=True)
        assert not all(torch.equal(mine, other) for mine, other in rows)
    else:
        assert with_seed[0].fingerprint() != with_seed[1].fingerprint()
