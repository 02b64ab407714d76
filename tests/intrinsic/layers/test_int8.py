"""An int8 base: how far it is from the float one, what it costs, and what trains on it."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn import functional as F
from transformers.pytorch_utils import Conv1D

import intrinsic
from intrinsic.layers.int8 import Int8

KINDS = {
    "linear": lambda: nn.Linear(24, 16),
    "conv1d": lambda: Conv1D(16, 24),
    "no bias": lambda: nn.Linear(24, 16, False),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


class Net(nn.Module):
    def __init__(self, kind="linear"):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.first, self.second = nn.Embedding(7, 24), KINDS[kind](), KINDS[kind]()
        self.between, self.head = nn.Linear(16, 24), nn.Linear(16, 3)

    def forward(self, tokens):
        hidden = self.first(self.embedding(tokens)).tanh()
        return self.head(self.second(self.between(hidden)).mean(1))


TOKENS = torch.arange(20).view(4, 5) % 7


def lora(model, **options):
    net = intrinsic.Subspace(model, space=intrinsic.LoRA(2, targets=["first", "between"]), **options)
    with torch.no_grad():
        for k, (_, parameter) in enumerate(net.named_parameters()):
            parameter += torch.linspace(-0.3, 0.3, parameter.numel()).roll(k).view_as(parameter)
    return net


@every_kind
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_every_weight_is_within_half_a_step(kind, dtype):
    plain = Net(kind).to(dtype)
    with torch.no_grad():
        plain.first.weight[1] = 0  # no step of 0 / 0
    net = intrinsic.quantize(copy.deepcopy(plain))
    assert [name for name, module in net.named_modules() if isinstance(module, Int8)] == ["first", "second", "between"]
    for name in ("first", "second", "between"):
        before, layer = getattr(plain, name), getattr(net, name)
        assert isinstance(layer, type(before))
        assert layer.quantized.dtype == torch.int8
        # exact but for the rounding of s q, at most 127 s, in the weight's own precision
        rounding = 128 * torch.finfo(dtype).eps
        error = (before.weight.double() - layer.weight.double()).abs()
        assert bool((error <= (0.5 + rounding) * layer.scale.double()).all())
        # one step for each output channel: the largest weight of each is 127 steps
        axis = 0 if kind == "conv1d" and name != "between" else 1
        largest = layer.quantized.abs().amax(axis)
        assert bool(((largest == 127) | (before.weight.abs().amax(axis) == 0)).all())


@every_kind
def test_outputs_are_those_of_the_dequantised_weights(kind):
    plain = Net(kind).double()
    net = intrinsic.quantize(copy.deepcopy(plain))
    x = torch.linspace(-1, 1, 48, dtype=torch.float64).view(2, 24)
    dequantised = copy.deepcopy(plain.first)
    dequantised.weight.data = net.first.weight
    torch.testing.assert_close(net.first(x), dequantised(x))
    # |(W - W') x| <= sum of |x| times half a step, channel by channel
    bound = 0.5 * net.first.scale.flatten() * x.abs().sum(1, keepdim=True)
    assert bool(((net.first(x) - plain.first(x)).abs() <= bound * (1 + 1e-9)).all())


def test_the_state_takes_a_quarter():
    plain = nn.Sequential(nn.Linear(256, 256), nn.Linear(256, 256), nn.Linear(256, 2))
    net = intrinsic.quantize(copy.deepcopy(plain))

    def size(model):
        return sum(tensor.nbytes for tensor in model.state_dict().values())

    moved = 2 * 256 * 256  # one byte each instead of four, and a scale of four bytes a channel
    assert size(net) == size(plain) - 3 * moved + 2 * 256 * 4
    assert sum(p.nbytes for p in net.parameters()) == size(net)
    again = intrinsic.quantize(nn.Sequential(nn.Linear(256, 256), nn.Linear(256, 256), nn.Linear(256, 2)))
    again.load_state_dict(net.state_dict())
    torch.testing.assert_close(again(torch.ones(1, 256)), net(torch.ones(1, 256)), atol=0, rtol=0)


def test_nothing_of_the_weights_size_waits_for_the_backward_pass():
    net = intrinsic.quantize(nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 2)))
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        net(torch.ones(1, 64, requires_grad=True))
    assert all(t.dtype == torch.int8 or t.numel() <= 128 for t in saved)


@pytest.mark.parametrize("projection", [intrinsic.Identity, intrinsic.OneHot])
@pytest.mark.parametrize("grad_mode", ["backward", "twice"])
def test_gradients_are_those_through_the_dequantised_weights(projection, grad_mode):
    plain = Net().double()
    net = intrinsic.quantize(copy.deepcopy(plain))
    for name in ("first", "second", "between"):
        getattr(plain, name).weight.data = getattr(net, name).weight
    options = {} if projection is intrinsic.Identity else {"projection": projection, "dim": 30}
    gradients = []
    for model in (net, plain):
        wrapped = lora(model, **options)
        trained = list(wrapped.parameters())
        loss = F.cross_entropy(wrapped(TOKENS), torch.arange(4) % 3)
        grads = torch.autograd.grad(loss, trained, create_graph=grad_mode == "twice")
        if grad_mode == "twice":
            grads = torch.autograd.grad(sum(g.square().sum() for g in grads), trained)
        gradients.append(grads)
    torch.testing.assert_close(*gradients, atol=1e-13, rtol=1e-10)


def test_under_autocast_vmap_and_checkpoints(tmp_path):
    net = lora(intrinsic.quantize(Net()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = net(TOKENS)
        half.float().sum().backward()
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), net(TOKENS), atol=0.05, rtol=0.05)  # bfloat16 has 8 bits
    factors = {name: torch.stack([p, 2 * p]) for name, p in net.named_parameters()}
    both = vmap(lambda own: functional_call(net, own, (TOKENS,)))(factors)
    torch.testing.assert_close(both[0], net(TOKENS))
    intrinsic.save(net, tmp_path / "task.safetensors")
    assert (tmp_path / "task.safetensors").stat().st_size < 4000  # the factors: 2 * (40 + 40) numbers; not the base
    again = intrinsic.load(intrinsic.quantize(Net()), tmp_path / "task.safetensors")
    torch.testing.assert_close(again(TOKENS), net(TOKENS), atol=0, rtol=0)
    with pytest.raises(intrinsic.UserError, match=r"belongs to another model or seed"):
        intrinsic.load(Net(), tmp_path / "task.safetensors")


@pytest.mark.parametrize("projection", [intrinsic.Identity, intrinsic.OneHot])
def test_merging_names_its_target(projection):
    original = Net().double()
    options = {} if projection is intrinsic.Identity else {"projection": projection, "dim": 30}
    net = lora(intrinsic.quantize(copy.deepcopy(original)), **options)
    with pytest.raises(intrinsic.UserError, match=r"int8 weights cannot take an update: merge\(\"dequantized\"\)"):
        net.merge()
    plain = net.merge("dequantized")
    assert [type(m) for m in plain.modules()] == [type(m) for m in original.modules()]
    torch.testing.assert_close(plain(TOKENS), net(TOKENS))
    exact = net.merge(original)
    assert torch.equal(exact.second.weight, original.second.weight)
    delta = net.merge("dequantized").first.weight - net.model.first.base.weight
    torch.testing.assert_close(exact.first.weight, original.first.weight + delta)
    assert any(isinstance(module, Int8) for module in net.modules())  # it stays as it is


@pytest.mark.parametrize(
    ("act", "complaint"),
    [
        (lambda: lora(Net()).merge("dequantized"), r"need merge\(\) for a float base"),
        (lambda: lora(intrinsic.quantize(Net())).merge("int8"), "got 'int8'"),
        (lambda: lora(intrinsic.quantize(Net())).merge(nn.Linear(2, 2)), r"it has no first\.weight"),
        (lambda: lora(intrinsic.quantize(Net())).merge(lora(Net()).double().merge().double()), "is not the weight"),
        (lambda: intrinsic.quantize(intrinsic.quantize(Net())), "int8 already"),
        (lambda: intrinsic.quantize(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Linear(2, 2))), "needs an nn.Linear beside"),
        (lambda: intrinsic.Subspace(intrinsic.quantize(Net())), "an int8 weight cannot move"),
    ],
)
def test_bad_input(act, complaint):
    with pytest.raises(intrinsic.UserError, match=complaint):
        act()


def test_a_weight_that_is_not_finite_leaves_the_model_as_it_was():
    model = Net()
    model.second.weight.data[0, 0] = float("nan")
    with pytest.raises(intrinsic.UserError, match=r"second\.weight has others"):
        intrinsic.quantize(model)
    assert not any(isinstance(module, Int8) for module in model.modules())


def test_a_shared_weight_stays_shared():
    model = Net()
    model.second.weight = model.first.weight
    intrinsic.quantize(model)
    assert model.second.weight is model.first.weight
    assert isinstance(model.between, Int8)


def test_the_rest_of_the_family_trains_on_it():
    for space in (intrinsic.BitFit(), intrinsic.Head(), intrinsic.LoRA(2)):
        net = intrinsic.Subspace(intrinsic.quantize(Net()), space=space)
        net(TOKENS).square().sum().backward()
        assert all(p.grad is not None for p in net.parameters())


def test_a_layer_that_was_given_a_forward_stays_float():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    model[1].forward = lambda x: 2 * nn.Linear.forward(model[1], x)
    intrinsic.quantize(model)
    assert [isinstance(layer, Int8) for layer in model] == [True, False, False]
