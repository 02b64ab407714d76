"""A step reads no number back from its device, for which it would have to wait, and which no CUDA graph captures."""

import pytest
import torch
from torch.autograd.profiler import profile

import intrinsic
from tests.support.projections import RANDOM, make

# what copies a number to Python, or makes a tensor of a length that depends on numbers
READS = {"aten::item", "aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero", "aten::unique"}


CASES = [*((name, "torch", {}) for name in RANDOM), ("onehot", "auto", {}), ("onehot", "torch", {"scales": "layer"})]
CASES += [(name, "torch", {"stream": True}) for name in RANDOM if name != "sparse"]  # whose rows have many lengths


@pytest.mark.parametrize(("name", "kernels", "options"), CASES)
def test_a_step_reads_nothing_back(name, kernels, options, monkeypatch):
    monkeypatch.setenv("INTRINSIC_KERNELS", kernels)
    model = torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.ReLU(), torch.nn.Linear(30, 5))
    net = intrinsic.Subspace(model, projection=lambda *size, seed: make(name, *size, seed=seed), dim=10, **options)
    x, y = torch.randn(8, 20), torch.randint(5, (8,))

    def step():
        torch.nn.functional.cross_entropy(net(x), y).backward()

    step()  # proves kernels
    with profile() as profiler:
        step()
    names = {event.name for event in profiler.function_events}
    assert "aten::nll_loss_backward" in names
    assert not names & READS
