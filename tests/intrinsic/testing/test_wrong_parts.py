"""The checks of a projection and a space: parts that docs show pass, wrong ones are named with their figures."""

import sys

import pytest
import torch
from torch import nn

import intrinsic
from intrinsic.projections.base import Projection
from intrinsic.spaces.base import Space
from intrinsic.testing import ContractError, check_projection, check_space
from tests.support.pages import files_of


@pytest.fixture
def shown(monkeypatch):
    """A module with the projection and the space that two pages show."""
    module = type(sys)("shown")
    monkeypatch.setitem(sys.modules, "shown", module)  # where copies find its classes
    for page, path in (("own_parts", "my_package/turns.py"), ("adding", "intrinsic/spaces/matrices.py")):
        exec(files_of(f"docs/guides/{page}.md")[path], vars(module))  # noqa: S102  # our own pages
    return module


def test_what_is_shown_keeps_the_contract(shown):
    check_projection(shown.Turns)
    check_space(shown.Matrices())


WRONG = {  # a rule each, and what else the class of the guide has for it
    "squared norm 1 on average; their mean over 20 draws is 4, need 1": """
    def matvec(self, z):
        return 2 * super().matvec(z)
    def rmatvec(self, g):
        return 2 * super().rmatvec(g)
""",
    "the adjoint of P is its transpose; of the gradient entry 0 is": """
    def rmatvec(self, g):
        return super().rmatvec(g.abs())
""",
    "every column of P has norm 1 .unit_columns = True.; norms lie in": """
    unit_columns = True
""",
    "global random states stay as they are": """
    def __init__(self, dim, full_dim, *, seed):
        super().__init__(dim, full_dim, seed=seed)
        self.sign[:] = 2 * torch.randint(2, self.sign.shape) - 1
""",
    "another seed has another fingerprint; ": """
    def __init__(self, dim, full_dim, *, seed):
        super().__init__(dim, full_dim, seed=0)
""",
    "plan says how many bytes P holds; it holds 333, plan says 0": """
    @staticmethod
    def plan(dim, full_dim):
        return 0 if full_dim > 300 else full_dim
""",
    "a tensor of P is kept by self._store, .*; scale is an attribute of its own": """
    def __init__(self, dim, full_dim, *, seed):
        super().__init__(dim, full_dim, seed=seed)
        self.scale = torch.ones(3)
""",
}


@pytest.mark.parametrize("rule", WRONG)
def test_a_wrong_projection_is_named(shown, rule):
    exec("import torch\nclass Wrong(Turns):" + WRONG[rule], vars(shown))  # noqa: S102
    with pytest.raises(ContractError, match=rf"^Wrong\(dim=\d+, full_dim=\d+, seed=\d\) breaks the rule: .*{rule}"):
        check_projection(shown.Wrong)


class Halved(Space):
    """Wires what it does not give back, at weights of half the size."""

    def wire(self, model, *, seed):
        for parameter in model.parameters():
            parameter.data /= 2
        return dict(model.named_parameters())


class Lost(intrinsic.Full):
    def wire(self, model, *, seed):
        return {**super().wire(model, seed=seed), "extra": nn.Parameter(torch.zeros(3))}


@pytest.mark.parametrize(
    ("space", "rule"),
    [
        (Halved(), "the output stays what it was when the space is wired; it moved by"),
        (Lost(), "names are those of the model's parameters; extra is not one"),
        (Halved, "a space is an instance of a subclass of"),
    ],
)
def test_a_wrong_space_is_named(space, rule):
    with pytest.raises(ContractError, match=rule):
        check_space(space)


def test_a_part_that_raises_says_where():
    class Unfinished(Projection):
        pass

    with pytest.raises(TypeError, match="abstract") as caught:
        check_projection(Unfinished)
    (note,) = caught.value.__notes__
    assert note.startswith("raised by Unfinished while its rule unfit_dims was checked: A dim")
