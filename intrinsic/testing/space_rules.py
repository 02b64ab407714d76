"""The rules of a space: each is a function of a space, of what makes equal models for it, and of inputs of these."""

import copy
import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.projections.onehot import OneHot
from intrinsic.spaces.base import Space
from intrinsic.subspace import Subspace
from intrinsic.subspace.recipe import recipe
from intrinsic.testing.contract_error import expect, expect_close

Make = Callable[[], nn.Module]


def wire(space: Space, make: Make, inputs: Tensor) -> None:
    """Coordinates are parameters of the model under its own names, each once, and the outputs stay to the last bit."""
    model = make()
    before, state = model(inputs), torch.get_rng_state()
    coordinates = space.wire(model, seed=0)
    expect(torch.equal(torch.get_rng_state(), state), space, "the global random state stays", "wire has drawn from it")
    expect(bool(coordinates), space, "wire returns the coordinates by name", "it returned none")
    inside = dict(model.named_parameters())
    foreign = [name for name, value in coordinates.items() if inside.get(name) is not value]
    expect(not foreign, space, "names are those of the model's parameters", f"{', '.join(foreign):.200} is not one")
    once = len(set(map(id, coordinates.values())))
    expect(once == len(coordinates), space, "a weight has one name", f"{len(coordinates)} names stand for {once}")
    moved = (model(inputs) - before).abs().max().item()
    expect(moved == 0, space, "the output stays what it was when the space is wired", f"it moved by {moved:.3g}")


def seed(space: Space, make: Make, inputs: Tensor) -> None:
    """Initial values are a function of the seed, and of the options as a file has them."""
    first = space.wire(make(), seed=1)
    described: dict[str, Any] = recipe(Subspace(make(), space=space))
    try:
        options = json.loads(json.dumps(described["space_options"]))
    except TypeError as error:
        expect(False, space, "options are plain values, fields of a dataclass", str(error))
    nested = '"space_options"' in json.dumps(options)  # a space of spaces: made again by whoever reads the file
    again = space if nested else type(space)(**options)
    second = again.wire(make(), seed=1)
    same = first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    rule = "the same seed and options give the same coordinates"
    expect(same, space, rule, f"{again!s:.100} differs: options are the fields of a dataclass")


def unwire(space: Space, make: Make, inputs: Tensor) -> None:
    """`unwire`, and `unwrap` of a net, leave the model as it was."""
    before, rule = make(), "unwire leaves the model as it was"
    model = copy.deepcopy(before)
    space.wire(model, seed=0)
    space.unwire(model)
    net = Subspace(copy.deepcopy(before), space=space)
    _move(net)
    for found in (model, net.unwrap()):
        expect(_kinds(found) == _kinds(before), space, rule, "its modules are others")
        own, old = dict(found.named_parameters()), dict(before.named_parameters())
        expect(list(own) == list(old), space, rule, "its parameters have other names")
    changed = [name for name, value in model.named_parameters() if not torch.equal(value, old[name])]
    expect(not changed, space, rule, f"{', '.join(changed):.200} changed")
    frozen = [name for name, value in own.items() if value.requires_grad != old[name].requires_grad]
    expect(not frozen, space, rule, f"requires_grad of {', '.join(frozen):.200} changed")


def count(space: Space, make: Make, inputs: Tensor) -> None:
    """What a net counts is what it trains: with the identity every coordinate, with a projection dim of them."""
    size = sum(value.numel() for value in space.wire(make(), seed=0).values())
    net = Subspace(make(), space=space)
    found = net.count(), sum(value.numel() for value in net.parameters())
    numbers = f"{found[0]}, {found[1]} trained, {size} wired"
    kept = found[0]["full_dim"] == found[0]["trained"] == found[1] == size
    expect(kept, space, "full_dim counts every coordinate once", numbers)


def gradients(space: Space, make: Make, inputs: Tensor) -> None:
    """A gradient reaches every coordinate, and through a projection z."""
    net = Subspace(make().double(), space=space)
    _move(net)
    net(inputs.double()).square().sum().backward()
    missed = [name for name, value in net.named_parameters() if value.grad is None or not value.grad.any()]
    expect(not missed, space, "a gradient reaches all coordinates", f"none reaches {', '.join(missed):.200}")
    model = make().double()
    before = model(inputs.double())
    net = Subspace(model, space=space, projection=OneHot, dim=min(5, net.full_dim))
    expect_close(net(inputs.double()), before, space, "at z = 0 the output is that of theta_0", "it", atol=1e-12)
    _move(net)
    net(inputs.double()).square().sum().backward()
    reached = net.z.grad is not None and bool(net.z.grad.any())
    expect(reached, space, "a gradient reaches z", f"it is {net.z.grad}")


def merge(space: Space, make: Make, inputs: Tensor) -> None:
    """The merged model computes what the net does; it is the plain architecture where the space says `merges`."""
    model, inputs = make().double(), inputs.double()
    kinds = _kinds(model)
    net = Subspace(model, space=space).eval()
    start = net(inputs)
    _move(net)
    expected, merged = net(inputs), net.merge()
    expect(not torch.equal(start, expected), space, "coordinates move the output", "they do not")
    expect_close(merged(inputs), expected, space, "merge() computes what the net does", "its output", atol=1e-9)
    expect_close(net(inputs), expected, space, "merge() leaves the net as it was", "its output", atol=1e-12)
    if space.merges:
        expect(_kinds(merged) == kinds, space, "merge() leaves a plain model (merges = True)", "modules are left in it")


def unfit_models(space: Space, make: Make, inputs: Tensor) -> None:
    """A model without parameters is refused by a UserError."""
    try:
        Subspace(nn.ReLU(), space=space)
    except UserError:
        return
    expect(False, space, "a model that the space does not fit is refused by a UserError", "ReLU() was taken")


RULES: dict[str, Callable[[Space, Make, Tensor], None]] = {
    rule.__name__: rule for rule in (wire, seed, unwire, count, gradients, merge, unfit_models)
}


def _kinds(model: nn.Module) -> list[tuple[str, type]]:
    return [(name, type(module)) for name, module in model.named_modules()]


def _move(net: Subspace) -> None:
    """Add a normal draw to every coordinate."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in net.parameters():
            value.add_(torch.randn(value.shape, dtype=value.dtype, generator=generator))
