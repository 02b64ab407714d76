"""A tied weight that is trained as it is: all its places move, whoever looks it up and whatever was loaded."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import intrinsic
from tests.support.tied import Tied

TOKENS = torch.arange(7)


@pytest.fixture(params=[{}, {"projection": intrinsic.Dense, "dim": 5, "head": "train"}], ids=["all", "beside z"])
def net(request):
    torch.manual_seed(0)
    return intrinsic.Subspace(Tied(), **request.param).double()


def naive(net, weight):
    return F.linear(net.model.inner(F.embedding(TOKENS, weight)), weight).square().sum()


def test_functional_call_finds_all_its_places(net):
    """Torch ties what it is given by the names with duplicates."""
    names = [name for name, _ in net.named_parameters(remove_duplicate=False)]
    assert [name for name in names if name.endswith("e.weight") or "head" in name] == [
        "model.wte.weight", "model.lm_head.weight",
    ]  # fmt: skip
    given = {name: parameter.detach() for name, parameter in net.named_parameters()}
    weight = given["model.wte.weight"]

    def loss(numbers):
        return torch.func.functional_call(net, numbers, (TOKENS,)).square().sum()

    found = torch.func.grad(loss)(given)["model.wte.weight"]
    torch.testing.assert_close(found, torch.func.grad(lambda w: naive(net, w))(weight), rtol=1e-12, atol=0)
    given["model.wte.weight"] = 2 * weight
    torch.testing.assert_close(loss(given), naive(net, 2 * weight), rtol=1e-12, atol=0)


def test_a_state_that_is_assigned_leaves_it_tied(net):
    """`load_state_dict(assign=True)` puts a parameter of its own into each place."""
    state = {
        name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in net.state_dict().items()
    }
    net.load_state_dict(state, assign=True)
    net(TOKENS).square().sum().backward()
    (weight,) = {
        p for name, p in nn.Module.named_parameters(net) if name in ("model.wte.weight", "model.lm_head.weight")
    }
    expected = torch.func.grad(lambda w: naive(net, w))(weight.detach())
    torch.testing.assert_close(weight.grad, expected, rtol=1e-12, atol=0)
    with torch.no_grad():
        net.model.lm_head.weight = nn.Parameter(2 * weight)
    with pytest.raises(intrinsic.UserError, match=r"was tied to wte\.weight when the Subspace was made"):
        net(TOKENS)
