"""select_by=gradient: the weights with the largest gradients at theta_0."""

import pytest
import torch

import intrinsic
from experiments.run.choose_weights import choose_weights
from experiments.run.setup import Setup
from intrinsic.errors import UserError
from tests.support.configs import composed

SHIRA = ["method=shira", "dim=20", "init=scratch", "model.width=8", "dataset.fraction=0.2", "device=cpu"]


def test_they_are_those_of_the_whole_gradient(tmp_path):
    """All of the training split in one batch."""
    setup = Setup(composed(*SHIRA, "batch_size=1000", "select_batches=1", f"output={tmp_path}"))
    model, split = setup.model().double(), setup.task.train
    weights = [layer.weight for layer in model.hidden]
    loss = setup.task.loss(model(split.inputs.double()), split.targets)
    gradient = torch.cat([part.flatten() for part in torch.autograd.grad(loss, weights)]).abs()
    assert set(setup.net.projection.index.tolist()) == set(gradient.topk(20).indices.tolist())
    assert setup.net.model.hidden[0].weight.shape == model.hidden[0].weight.shape


def test_a_file_holds_them(tmp_path):
    setup = Setup(composed(*SHIRA, f"output={tmp_path}"))
    torch.nn.init.normal_(setup.net.z)
    intrinsic.save(setup.net, tmp_path / "some.safetensors")
    found = intrinsic.load(setup.model(), tmp_path / "some.safetensors")
    assert found.projection.index.equal(setup.net.projection.index)
    assert found.around(setup.model()).fingerprint() == setup.net.fingerprint()


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ("select_by=size", "need select_by=random or gradient, got select_by=size"),
        ("select_batches=0", "need an integer select_batches >= 1"),
        ("granularity=block", "among all weights, got granularity=block"),
        ("redraw=3", "Select is made of data"),
    ],
)
def test_refusals(override, match, tmp_path):
    with pytest.raises(UserError, match=match):
        _ = Setup(composed(*SHIRA, override, f"output={tmp_path}")).net


@pytest.mark.parametrize("index", [[1, 1], [2, 1], [0], [0, 10], [-1, 3], [0.5, 1.5]])
def test_an_index_is_checked(index):
    with pytest.raises(UserError, match="need index as 2 rising places in 10 weights"):
        intrinsic.Select(2, 10, seed=0, index=index)


def test_nothing_is_chosen_of_episodes():
    setup = Setup(composed("experiment=li2018/cartpole", "projection=select", "dim=5", "device=cpu"))
    with pytest.raises(UserError, match="has returns, and no loss to differentiate: use select_by=random"):
        choose_weights(setup.net, setup.task, by="gradient", count=1, batch_size=2, seed=0)
