"""A net in other people's code: the base is never damaged, each call finds its own weights, the rest is refused."""

import copy
import dataclasses
import threading

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.checkpoint import checkpoint

import intrinsic

ignore = pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # a part within a part
X = torch.linspace(-1, 1, 24).view(4, 6)


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


class Recurrent(nn.Module):
    """Torch's recurrent layers put their weights into a list of their own in each call."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.rnn, self.head = nn.LSTM(6, 16), nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


@dataclasses.dataclass
class Output:
    y: Tensor


class Parts(nn.Module):
    """A part, and a part within a part, which may be checkpointed; its outputs may be hidden from torch."""

    def __init__(self, reentrant=None, output="tensor"):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.third = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.reentrant, self.output = reentrant, output

    def again(self, part, h):
        return part(h) if self.reentrant is None else checkpoint(part, h, use_reentrant=self.reentrant)

    def part(self, h):
        return self.second(h).tanh()

    def whole(self, h):
        return self.again(self.part, h.square()) + self.third(h)

    def forward(self, x):
        h = self.kept = self.again(self.whole, self.again(self.part, self.first(x)))
        return {"tensor": h, "dataclass": Output(h), "kept": None}[self.output]


def subspace(model, seed=0, z=0.7, projection=intrinsic.Fastfood, dim=20):
    net = intrinsic.Subspace(model, projection=projection, dim=dim, seed=seed)
    with torch.no_grad():
        net.z.fill_(z)
    return net


def output(net, x):
    result = net(x)
    if isinstance(result, Output):
        return result.y
    return net.model.kept if result is None else result


def check_base(model, like):
    assert all(type(parameter) is nn.Parameter for parameter in model.parameters())
    assert all(map(torch.equal, model.parameters(), like.parameters()))


def test_two_nets_around_one_model():
    model = plain()
    nets, apart = ([subspace(m, seed) for seed, m in enumerate(models)] for models in ([model] * 2, [plain(), plain()]))
    for first, second in (nets, apart):
        ((first(X) - second(X)) * model(X)).square().sum().backward()
    for net, other in zip(nets, apart, strict=True):
        assert torch.equal(net.z.grad, other.z.grad)
        assert net.z.grad.abs().min() > 0
    check_base(model, plain())
    with nets[0].at(nets[0].weights()), torch.no_grad():  # a net called from within another's weights
        assert torch.equal(nets[1](X), apart[1](X))
        assert torch.equal(model(X), apart[0](X))
    assert torch.equal(model(X), plain()(X))


@pytest.mark.parametrize("make", [plain, Recurrent])
@pytest.mark.parametrize("scales", [None, "layer"])
def test_threads_call_one_net(make, scales):
    model = make()
    net = intrinsic.Subspace(model, projection=intrinsic.Dense, dim=30, scales=scales)
    with torch.no_grad():
        net.z.copy_(torch.linspace(-1, 1, len(net.z)))
        expected, base = net(X), model(X)
    parameters = list(net.parameters())
    gradients = torch.autograd.grad(net(X).square().sum(), parameters)
    wrong = []

    def work(kind):
        for _ in range(60):
            if kind == "base":
                with torch.no_grad():
                    wrong.append(not torch.equal(model(X), base))
            elif kind == "values":
                with torch.no_grad():
                    wrong.append(not torch.equal(net(X), expected))
            else:
                found = torch.autograd.grad(net(X).square().sum(), parameters)
                wrong.append(not all(map(torch.equal, found, gradients)))

    threads = [threading.Thread(target=work, args=(kind,)) for kind in ("values", "gradients", "base") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 6 * 60
    assert not any(wrong)
    check_base(model, make())


@ignore
@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("kind", ["tensor", "dataclass", "kept"])
def test_checkpoints_run_again_at_the_weights_of_their_call(reentrant, kind):
    found, expected = subspace(Parts(reentrant, kind)), subspace(Parts())
    for net in (found, expected):
        sum(output(net, k * X).square().sum() for k in (1, 2, 3)).backward()  # one backward pass for three calls
        output(net, X).square().sum().backward()
    # a reentrant checkpoint adds its parts up in another order
    torch.testing.assert_close(found.z.grad, expected.z.grad, rtol=1e-5, atol=1e-4)


@ignore
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_of_two_nets_and_of_the_base(reentrant):
    def gradients(models, base):
        nets, x = [subspace(model, seed, 0.5 + seed) for seed, model in enumerate(models)], X.clone().requires_grad_()
        ((output(nets[0], x) - output(nets[1], x)) * base(x).y).sum().backward()
        return [nets[0].z.grad, nets[1].z.grad, x.grad]

    model = Parts(reentrant, "dataclass")
    found = gradients([model, model], model)
    torch.testing.assert_close(found, gradients([Parts(), Parts()], Parts(output="dataclass")), rtol=1e-5, atol=1e-5)
    check_base(model, Parts())


@ignore
def test_a_checkpoint_whose_weights_are_gone():
    net = subspace(Parts(True))
    early = net(X).sum()
    with torch.no_grad():
        net.z.add_(1)
    late = net(X).sum()
    with pytest.raises(intrinsic.UserError, match=r"runs a part of Parts again .* whose weights are gone: call back"):
        early.backward()
    net.zero_grad()
    late.backward()
    expected = subspace(Parts(), z=1.7)
    expected(X).sum().backward()
    torch.testing.assert_close(net.z.grad, expected.z.grad, rtol=1e-5, atol=1e-5)


def parametrized(model):
    nn.utils.parametrizations.weight_norm(model[2])


TAKEN_APART = {
    "is not the module it was": lambda model: model.__setitem__(2, nn.Linear(16, 3)),
    "is not a parameter any more": lambda model: prune.l1_unstructured(model[2], "weight", 0.5),
    "is not a parameter any more|is not the module": parametrized,
    r"had the shape \(3,\) when the Subspace was made, now \(4,\)": lambda model: setattr(
        model[2], "bias", nn.Parameter(torch.zeros(4))
    ),
}


@pytest.mark.parametrize("reason", TAKEN_APART)
@pytest.mark.parametrize("projection", [intrinsic.Identity, intrinsic.Dense])
def test_what_was_replaced_is_noticed(reason, projection):
    net = intrinsic.Subspace(plain(), projection=projection, dim=None if projection is intrinsic.Identity else 5)
    TAKEN_APART[reason](net.model)
    for use in (lambda: net(X), net.merge, net.weights):
        with pytest.raises(intrinsic.UserError, match=rf"({reason}).*change the model first"):
            use()


REFUSED = {
    "need a torch.nn.Module as model, got NoneType": {"model": None},
    "the model is a Subspace itself": {"model": intrinsic.Subspace(plain())},
    "^0 is a Subspace itself": {"model": nn.Sequential(intrinsic.Subspace(plain()), nn.ReLU())},
    "weight is of a lazy layer and has no shape yet": {"model": nn.LazyLinear(3)},
    "compiled by TorchScript": {"model": torch.jit.trace(plain(), X)},
    "0.weight is on the meta device": {"model": plain().to("meta")},
    "need a space such as .*, got space='lora'": {"space": "lora"},
    r"need a space such as LoRA\(...\), got space=LoRA": {"space": intrinsic.LoRA},
    "need a projection class .* got projection='dense'": {"projection": "dense", "dim": 3},
    "need a projection class .* got projection=Linear": {"projection": nn.Linear, "dim": 3},
    "need a projection class .* got projection=Dense": {"projection": intrinsic.Dense(2, 9, seed=0), "dim": 3},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_a_subspace(reason):
    with pytest.raises(intrinsic.UserError, match=reason):
        intrinsic.Subspace(**{"model": plain()} | REFUSED[reason])


def test_two_nets_that_would_change_one_model():
    model = plain()
    first = intrinsic.Subspace(model)
    lora = {"space": intrinsic.LoRA(2)}
    for options in ({}, {"projection": intrinsic.Dense, "dim": 3}, lora):
        with pytest.raises(intrinsic.UserError, match="the model is in another Subspace"):
            intrinsic.Subspace(model, **options)
        assert [type(module) for module in model] == [nn.Linear, nn.ReLU, nn.Linear]
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert first.unwrap() is model
    wrapped = intrinsic.Subspace(model, **lora)
    wrapped.unwrap()
    assert all(parameter.requires_grad for parameter in model.parameters())
    second = subspace(model)
    with pytest.raises(intrinsic.UserError, match="the model is in another Subspace"):
        intrinsic.Subspace(model, projection=intrinsic.Dense, dim=3, **lora)  # trains z alone, but wraps layers
    del second, first
    subspace(intrinsic.Subspace(model, projection=intrinsic.OneHot, dim=3, **lora).model)


def test_a_parameter_that_is_also_held_elsewhere_is_named():
    model = plain()
    model.elsewhere = [model[0].weight]
    with pytest.warns(UserWarning, match="Sequential '' holds a parameter in its attribute 'elsewhere', too"):
        subspace(model)
    intrinsic.Subspace(model, space=intrinsic.LoRA(2, targets=["2"]))  # whose numbers it does not hold


def test_a_net_keeps_the_mode_of_its_model():
    assert not intrinsic.Subspace(plain().eval()).training
    assert intrinsic.Subspace(plain()).training


@pytest.mark.slow
@pytest.mark.parametrize("where", ["net", "model", "layer"])
def test_compiled(where):
    net, expected = subspace(plain()), subspace(copy.deepcopy(plain()))
    call = torch.compile(net, backend="eager") if where == "net" else net
    if where != "net":
        (net.model if where == "model" else net.model[0]).compile(backend="eager")
    for step in range(3):
        for each in (net, expected):
            with torch.no_grad():
                each.z.fill_(step)
                each.z.grad = None
        found = call(X)
        found.square().sum().backward()
        torch.testing.assert_close(found, expected(X))
        expected(X).square().sum().backward()
        torch.testing.assert_close(net.z.grad, expected.z.grad)
    check_base(net.model, plain())
