"""A file beside its siblings is all that a config needs to name it."""

import importlib
import sys

import pytest
from torch import nn

from experiments.config.build import build
from intrinsic.projections.base import Projection
from intrinsic.spaces.base import Space
from intrinsic.tasks.task import Task

SPACE = """
from intrinsic.spaces.base import Space


class FirstBias(Space):
    def wire(self, model, *, seed):
        return {}
"""


MODEL = """
from torch import nn


def line(input_shape, num_outputs, *, bias: bool) -> nn.Module:
    return nn.Linear(input_shape[0], num_outputs, bias=bias)
"""


DATASET = """
from intrinsic.data.digits import digits
from intrinsic.tasks.task import Task


def ones(seed: int) -> Task:
    return digits(rotate=0, shuffle_pixels=False, shuffle_labels=False, fraction=1.0, seed=seed)
"""


PROJECTION = """
from intrinsic.projections.identity import Identity


class NoTurn(Identity):
    pass
"""


@pytest.mark.parametrize(
    ("role", "target", "source", "own", "call", "kind"),
    [
        ("space", "intrinsic.spaces.first_bias.FirstBias", SPACE, {}, None, Space),
        ("model", "intrinsic.models.line.line", MODEL, {"bias": True, "_partial_": True}, ([3], 2), nn.Module),
        ("dataset", "intrinsic.data.ones.ones", DATASET, {"seed": 0}, None, Task),
        ("projection", "intrinsic.projections.no_turn.NoTurn", PROJECTION, {"_partial_": True}, (3, 3), Projection),
    ],
)
def test_a_file_is_all_that_adds_a_thing(tmp_path, monkeypatch, role, target, source, own, call, kind):
    module = target.rpartition(".")[0]
    package = importlib.import_module(module.rpartition(".")[0])
    (tmp_path / f"{module.rpartition('.')[2]}.py").write_text(source)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    try:
        made = build({"_target_": target, **own}, role)
        if call is not None:
            made = made(*call, **({"seed": 0} if role == "projection" else {}))
        assert isinstance(made, kind)
    finally:
        sys.modules.pop(module, None)
