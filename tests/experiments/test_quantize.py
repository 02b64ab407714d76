"""Messages of quantised coordinates: what is decoded, how many bits they take, and what is no message."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

import intrinsic
from analysis.bound import bound
from experiments.quantize import Message, gamma, quantize
from intrinsic.errors import UserError
from intrinsic.subspace import Subspace
from tests.support.measurements import folders, labelled, measure, reopened

pytestmark = pytest.mark.usefixtures("surroundings")


@pytest.mark.parametrize("levels", [2, 3, 8, 40])
def test_what_is_decoded_is_the_nearest_level_and_the_code_is_as_short_as_the_entropy(levels):
    z = np.random.default_rng(levels).standard_normal(700) * 3
    message = Message.of(z, levels, 5)
    decoded = message.decode()
    assert decoded.dtype == np.float16
    np.testing.assert_array_equal(decoded, message.codebook[np.abs(z[:, None] - message.codebook).argmin(1)])
    assert len(message.codebook) == len(np.unique(decoded)) <= levels
    share = message.counts / 700
    entropy = -700 * (share * np.log2(share)).sum()
    assert entropy <= 32 * len(message.words) <= entropy + 64  # two units of the coder
    bits = message.bits()
    assert bits["codebook"] == 16 * len(share)
    assert bits["z"] - 32 * len(message.words) == 10 * (len(share) - 1) + gamma(len(message.words) + 1)
    assert bits["seed"] == gamma(6) + gamma(700) + gamma(len(share))


def test_few_different_numbers():
    np.testing.assert_array_equal(Message.of(np.array([0.5, 0.5, -2.0]), 8, 0).decode(), [0.5, 0.5, -2.0])
    np.testing.assert_array_equal(Message.of(np.full(4, 0.25), 8, 0).decode(), [0.25] * 4)


def test_gamma_is_a_prefix_code():
    """The lengths 1, 3, 3, 5, ... leave no room: Kraft's sum tends to 1."""
    assert [gamma(n) for n in (1, 2, 3, 4, 7, 8)] == [1, 3, 3, 5, 5, 7]
    assert sum(2.0 ** -gamma(n) for n in range(1, 2**15)) == pytest.approx(1, abs=1e-4)


def moved(layers=None, **options):
    torch.manual_seed(0)
    model = nn.Sequential(*(layers or [nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 3)]))
    start = Subspace(model, **({"projection": intrinsic.Dense, "dim": 30} | options))
    net = copy.deepcopy(start)
    with torch.no_grad():
        for p in net.parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p))
    return reopened(start, net, labelled(net.eval(), torch.randn(200, 8), 3), "subspace")


def test_scores_are_those_of_what_is_decoded():
    run = moved()
    z = run.net.z.detach().clone()
    values, arrays = quantize(run, levels=(2, 16))
    assert (values["dim"], values["examples"], values["exact"]["train"]) == (30, 200, pytest.approx(0.9))
    for k, count in enumerate((2, 16)):
        decoded = Message.of(z.numpy().astype(float), count, 3).decode()
        with torch.no_grad():
            run.net.z.copy_(torch.from_numpy(decoded.astype(float)))
            right = (run.net(run.task.train.inputs).argmax(1) == run.task.train.targets).double().mean()
        assert arrays["train"][k] == pytest.approx(right.item(), rel=1e-14)  # shares of 200, in float64
    assert arrays["train"][1] > arrays["train"][0]


@pytest.mark.parametrize(
    ("own", "seeds"), [({}, [3]), ({"projection": 1000}, [3, 1000]), ({"init": 7, "projection": 7}, [7]),
                       ({"init": 0, "projection": 1}, [0, 1]), ({"order": 9}, [3])],
)  # fmt: skip
def test_every_seed_is_told(own, seeds):
    run = moved()
    run.setup.config["seeds"] = own
    _, arrays = quantize(run, levels=(2,))
    assert arrays["bits/seed"] == sum(gamma(seed + 1) for seed in seeds) + gamma(30) + gamma(2)


def test_what_has_no_message():
    for run, rule in (
        (moved(head="train"), "which a message of z would not give back: need method=subspace"),
        (moved(projection=intrinsic.projections.identity.Identity, dim=None), "need method=subspace"),
    ):
        with pytest.raises(UserError, match=rule):
            quantize(run)
    for levels in ((1,), (), (4, 70000)):
        with pytest.raises(UserError, match="need --levels from 2 to 65536"):
            quantize(moved(), levels=levels)
    statistics = moved([nn.Linear(8, 12), nn.BatchNorm1d(12), nn.Linear(12, 3)])
    statistics.net.model[1].running_mean.add_(1)
    with pytest.raises(UserError, match=r"1\.running_mean was learned from the data beside z"):
        quantize(statistics)
    chosen = partial(intrinsic.Select, index=[0, 3, 40])
    with pytest.raises(UserError, match="Select was made of the training data"):
        quantize(moved(projection=chosen, dim=3))  # it is no prior, and no bound follows
    began = moved()
    began.record.numbers["init_steps"] = 10
    with pytest.raises(UserError, match="init=burnin has trained theta_0 on the training data"):
        quantize(began)
    net = intrinsic.Redrawn(nn.Linear(8, 3), every=1, projection=intrinsic.Dense, dim=5)
    with pytest.raises(UserError, match="redraw has moved the weights by other z before"):
        quantize(reopened(net, net, began.task, "subspace"))
    far = moved()
    with torch.no_grad():
        far.net.z[0] = 1e6
    with pytest.raises(UserError, match=r"z reaches 1e\+06, which float16 cannot hold"):
        quantize(far)


@pytest.mark.slow
def test_a_study_is_measured_and_drawn(study, tmp_path, unrendered):
    assert measure("quantize", study, "--levels", 2, 4) == 0
    (folder,) = folders(study, "subspace")
    with safe_open(folder / "quantize.safetensors", "numpy") as file:
        assert file.get_tensor("levels").tolist() == [2, 4]
    drawn = bound(study, out=tmp_path)
    assert drawn.table["d"].tolist() == [20]
    assert any(note.startswith("θ₀ was trained on other data") for note in drawn.notes)
