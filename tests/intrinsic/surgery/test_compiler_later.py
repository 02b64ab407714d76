"""Optimisers without torch's compiler, and the compiler when it is used after all."""

import subprocess
import sys

import pytest

from tests.support.configs import ROOT

PROGRAM = """
import importlib.util, inspect, sys
from intrinsic.surgery.compiler_internals import import_compiler_later
import torch

torch.manual_seed(0)
model = torch.nn.Linear(3, 2)
first = model.state_dict()["weight"].clone()
import_compiler_later()

def step():
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    optimizer.zero_grad()
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    return model.weight.detach().clone()

moved = step()
torch.testing.assert_close(moved, first - 0.1)  # Adam's first step
inspect.getmodule(step)
assert importlib.util.find_spec("torch._dynamo") is not None
assert "torch._dynamo.eval_frame" not in sys.modules
import torch._dynamo.utils  # now it is used
assert torch._dynamo.config.disable is False
assert torch._dynamo is sys.modules["torch._dynamo"]
graphs = []
def backend(graph, inputs):
    graphs.append(graph)
    return graph
assert torch.compile(lambda x: x.sin() + 1, backend=backend)(torch.zeros(2)).tolist() == [1, 1]
assert len(graphs) == 1
torch.testing.assert_close(torch.compile(step, backend=backend)(), moved - 0.1)
assert len(graphs) > 1  # of the loss; the optimiser's own functions are not compiled
import_compiler_later()
assert torch._dynamo.config.disable is False
"""


@pytest.mark.slow
def test_steps_do_not_import_it_and_compiling_does():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
