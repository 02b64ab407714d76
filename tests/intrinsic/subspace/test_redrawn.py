"""theta = theta_0 + P_0 z_0 + P_1 z_1 + ...: the way of a Redrawn, stored and walked again."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

import intrinsic
from intrinsic.errors import UserError
from intrinsic.subspace.redrawn import Redrawn
from intrinsic.tasks.task import Split, classification
from intrinsic.training.fit import fit
from tests.support.configs import names
from tests.support.projections import RANDOM, constructor, matrix

LR = 0.1
REDRAWN = [name for name in RANDOM if not constructor(name).func.from_data]


def model(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)


def train(net, optimizer, steps, first=1):
    torch.manual_seed(1)
    x, y = torch.randn(20, 6).to(net.z), torch.randint(3, (20,))
    for step in range(first, first + steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        net.after_step(step, optimizer)


def values(module):
    return torch.cat([p.detach().reshape(-1) for p in module.parameters()])


@pytest.mark.parametrize("name", REDRAWN)
def test_every_step_in_a_basis_of_its_own_is_that_of_the_formula(name):
    """theta <- theta - lr P_n P_n^T g, in float64, with the P_n that the seeds say."""
    net = Redrawn(model(torch.float64), every=1, projection=constructor(name), dim=5)
    plain, projections = model(torch.float64), []
    theta = values(plain)
    original = net.draw
    net.draw = lambda: projections.append(original()) or projections[-1]
    projections.append(net.projection)
    train(net, torch.optim.SGD(net.parameters(), lr=LR), 4)
    torch.manual_seed(1)
    x, y = torch.randn(20, 6).double(), torch.randint(3, (20,))
    for projection in projections[:4]:
        nn.utils.vector_to_parameters(theta, plain.parameters())
        loss = nn.functional.cross_entropy(plain(x), y)
        g = torch.cat([part.reshape(-1) for part in torch.autograd.grad(loss, list(plain.parameters()))])
        P = matrix(projection)
        theta = theta - LR * P @ (P.T @ g)
    torch.testing.assert_close(values(net.model.requires_grad_()), theta, rtol=1e-9, atol=1e-12)
    assert len({projection.fingerprint() for projection in projections}) == 5


@pytest.mark.parametrize("state", ["reset", "keep"])
def test_the_state_of_the_optimiser(state):
    net = Redrawn(model(), every=2, optimizer=state, projection=intrinsic.OneHot, dim=5)
    optimizer = torch.optim.Adam(net.parameters())
    train(net, optimizer, 4)
    assert (net.z in optimizer.state) == (state == "keep")


def test_a_file_leads_the_same_way(tmp_path):
    net = Redrawn(model(), every=3, projection=intrinsic.Fastfood, dim=5)
    train(net, torch.optim.Adam(net.parameters()), 8)
    intrinsic.save(net, tmp_path / "way.safetensors")
    found = intrinsic.load(model(), tmp_path / "way.safetensors")
    assert (found.number, found.every) == (2, 3)
    for own, other in zip(net.weights().values(), found.weights().values(), strict=True):
        assert torch.equal(own, other)
    other = Redrawn(model(), every=3, projection=intrinsic.Fastfood, dim=5, seed=1)
    with pytest.raises(UserError, match="belongs to another model or seed"):
        intrinsic.load(other, tmp_path / "way.safetensors")
    assert other.number == 0


def test_a_state_dict_leads_there_too():
    net, other = (Redrawn(model(), every=3, projection=intrinsic.OneHot, dim=5) for _ in range(2))
    train(net, torch.optim.Adam(net.parameters()), 8)
    other.load_state_dict(net.state_dict())
    x = torch.ones(2, 6)
    assert torch.equal(net(x), other(x))
    assert torch.equal(values(other.unwrap()), values(model()))


def test_a_state_dict_without_weights_leads_there_too():
    net, other = (Redrawn(model(), every=3, projection=intrinsic.OneHot, dim=5) for _ in range(2))
    train(net, torch.optim.Adam(net.parameters()), 8)
    other.load_state_dict({name: net.state_dict()[name] for name in ("z", "past")}, strict=False)
    x = torch.ones(2, 6)
    assert torch.equal(net(x), other(x))
    assert torch.equal(values(other.unwrap()), values(model()))


def changed(net):
    """The net, after somebody else has written to all weights that P does not move, or if there are none, to all."""
    named = dict(net.model.named_parameters())
    with torch.no_grad():
        for name in [name for name in named if name not in net.coordinate_names] or named:
            named[name].mul_(1.01)
    return net


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("change", ["state dict", "weights", "copied weights"])
def test_no_file_says_a_way_from_other_weights(change, frozen, tmp_path):
    """Its z would lead elsewhere from the weights that it names as the start."""
    space = intrinsic.LoRA(2, targets="all-linear") if frozen else None
    make = partial(Redrawn, every=3, projection=intrinsic.OneHot, dim=5, space=space)
    net, path, x = make(model()), tmp_path / "way.safetensors", torch.ones(2, 6)
    train(net, torch.optim.Adam(net.parameters()), 8)
    same, other = make(model()), changed(make(model()))
    for each in (same, other):
        each.load_state_dict(net.state_dict())
    assert same.fingerprint() == copy.deepcopy(net).fingerprint() == net.fingerprint()
    if change != "state dict":
        other = changed(net if change == "weights" else copy.deepcopy(net))
    if not frozen:
        with pytest.raises(UserError, match="is not where redraws lead from the net's start"):
            intrinsic.save(other, path)
        return
    intrinsic.save(other, path)  # it says of which base it is
    if change == "state dict":
        assert torch.equal(intrinsic.load(model(), path)(x), net(x))
    else:
        with pytest.raises(UserError, match="belongs to another model or seed"):
            intrinsic.load(model(), path)


def test_the_model_is_given_back_as_it_was():
    net = Redrawn(model(), every=1, projection=intrinsic.Dense, dim=5)
    train(net, torch.optim.SGD(net.parameters(), lr=LR), 3)
    merged = net.merge()
    x = torch.ones(2, 6)
    torch.testing.assert_close(merged(x), net(x))
    assert torch.equal(values(net.unwrap()), values(model()))


def test_a_bank_serves_it(tmp_path):
    net = Redrawn(model(), every=1, projection=intrinsic.OneHot, dim=5)
    train(net, torch.optim.SGD(net.parameters(), lr=LR), 3)
    intrinsic.save(net, tmp_path / "way.safetensors")
    base, x = model(), torch.ones(2, 6)
    bank = intrinsic.Bank(base)
    bank.add("file", tmp_path / "way.safetensors")
    bank.add("net", net)
    for task in bank.tasks:
        torch.testing.assert_close(bank.use(task)(x), net(x))
    assert torch.equal(bank.use(None)(x), model()(x))


def test_fit_goes_on_where_it_stopped(tmp_path):
    """Redraws in the middle of epochs; the second half from a file and an optimiser's state."""
    torch.manual_seed(2)
    split = Split(torch.randn(30, 6), torch.randint(3, (30,)))
    task = classification(split, split, split, num_outputs=3)
    options = {"epochs": 4, "batch_size": 7, "seed": 3}

    def make():
        net = Redrawn(model(), every=2, optimizer="keep", projection=intrinsic.OneHot, dim=5)
        return net, torch.optim.Adam(net.parameters(), fused=True)

    net, optimizer = make()
    whole = list(fit(net, task, optimizer, **options))
    first, first_optimizer = make()
    half = list(fit(first, task, first_optimizer, **{**options, "epochs": 2}))
    intrinsic.save(first, tmp_path / "half.safetensors")
    second, second_optimizer = make()
    intrinsic.load(second, tmp_path / "half.safetensors")
    second_optimizer.load_state_dict(copy.deepcopy(first_optimizer.state_dict()))
    rest = list(fit(second, task, second_optimizer, **options, history=half))
    assert [epoch.train_loss for epoch in half + rest] == [epoch.train_loss for epoch in whole]
    assert torch.equal(second.past, net.past)
    assert net.number == 4 * -(-len(task.train) // 7) // 2


@pytest.mark.parametrize("name", [name for name in names("projection") if name not in REDRAWN])
def test_what_cannot_be_redrawn_is_refused(name):
    base = model()
    with pytest.raises(UserError, match="redraw draws P anew"):
        Redrawn(base, every=1, projection=constructor(name), dim=None if name == "identity" else 5)
    assert type(base[0]) is nn.Linear
    intrinsic.Subspace(base, projection=intrinsic.OneHot, dim=3)


def test_other_refusals():
    make = partial(Redrawn, projection=intrinsic.OneHot, dim=9)
    with pytest.raises(UserError, match="without scales, got scales=layer"):
        make(model(), every=1, scales="layer")
    with pytest.raises(UserError, match=r"bfloat16 loses them: use model.float\(\)"):
        make(model(torch.bfloat16), every=1)
    with pytest.raises(UserError, match="need an integer redraw >= 1, got redraw=0"):
        make(model(), every=0)
    base = model()
    other = intrinsic.Subspace(base, projection=intrinsic.OneHot, dim=9)
    with pytest.raises(UserError, match="the model is in another Subspace"):
        make(base, every=1)
    assert torch.equal(values(other.unwrap()), values(model()))
