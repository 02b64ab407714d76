"""A net in other people's code: the base is never damaged, each call finds its own weights, the rest is refused."""

import copy
import dataclasses
import threading

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import intrinsic
from tests.support.guest_nets import X, plain, subspace

ignore = pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # a part within a part


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
