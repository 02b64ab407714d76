"""Full fine-tuning cut to rank k: against numpy, planted ranks, records, and the figure."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from experiments.finished.guess import guess
from experiments.truncate import Factors, matrices, truncate
from intrinsic.errors import UserError
from intrinsic.subspace import Subspace
from intrinsic.tasks.task import Split, Task
from tests.support.measurements import labelled, reopened

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("surroundings", "unrendered")]

OUTPUTS = 4


def planted(rank, layers=None, noise=0.0):
    """A run of full fine-tuning whose updates have this rank, and a head and biases that moved."""
    torch.manual_seed(0)
    layers = layers or [nn.Linear(12, 10), nn.Tanh(), nn.Linear(10, 8), nn.Tanh(), nn.Linear(8, OUTPUTS)]
    start = Subspace(nn.Sequential(*layers))
    net = copy.deepcopy(start)
    with torch.no_grad():
        for p in net.model.parameters():
            if p.ndim == 1 or p.shape[0] == OUTPUTS:
                p.add_(torch.randn_like(p), alpha=0.3)
            else:
                p.add_(torch.randn(p.shape[0], rank) @ torch.randn(rank, p.shape[1]), alpha=0.4)
    inputs = torch.randint(9, (300, 5)) if isinstance(layers[0], nn.Embedding) else torch.randn(300, 12)
    return reopened(start, net, labelled(net.eval(), inputs, OUTPUTS))


def test_a_planted_rank_is_all_that_is_needed():
    run = planted(3)
    values, arrays = truncate(run, ranks=[1, 2, 3, 4])
    assert arrays["ranks"].tolist() == [0, 1, 2, 3, 4, 10]
    scores = arrays["update"][1].tolist()
    assert scores[3:] == [pytest.approx(0.9)] * 3  # every tenth label is wrong
    assert max(scores[:3]) < 0.9 - 0.02
    assert arrays["pretrained"][1, -1] == pytest.approx(0.9)
    assert max(arrays["pretrained"][1, :-2]) < 0.9 - 0.02  # W_0 has full rank
    assert values["matrices"] == {"0.weight": [10, 12], "2.weight": [8, 10]}  # not the head


@pytest.mark.parametrize("keep", ["all", "head", "nothing"])
def test_scores_are_those_of_numpy(keep):
    _, arrays = truncate(planted(4), keep=keep, draws=0)
    assert set(arrays) == {"ranks", "update", "pretrained"}
    run = planted(4)
    origin, trained = (
        {k: p.detach().double().numpy() for k, p in net.model.named_parameters()} for net in (run.start, run.net)
    )
    kept = {"all": list(trained), "head": ["4.weight", "4.bias"], "nothing": []}[keep]
    inputs, targets = run.task.test.inputs.double().numpy(), run.task.test.targets.numpy()

    def cut(matrix, k):
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        return left[:, :k] @ np.diag(values[:k]) @ right[:k]

    for place, k in enumerate(arrays["ranks"].tolist()):
        for kind in ("update", "pretrained"):
            theta = {name: (trained if name in kept else origin)[name] for name in origin}
            for name in ("0.weight", "2.weight"):
                moved, base = trained[name] - origin[name], origin[name]
                theta[name] = base + cut(moved, k) if kind == "update" else cut(base, k) + moved
            hidden = inputs
            for layer in (0, 2):
                hidden = np.tanh(hidden @ theta[f"{layer}.weight"].T + theta[f"{layer}.bias"])
            right = (hidden @ theta["4.weight"].T + theta["4.bias"]).argmax(1) == targets
            assert arrays[kind][1, place] == pytest.approx(right.mean(), abs=1e-6), (kind, k)  # a mean in float32


def test_embeddings_are_cut_where_asked():
    layers = [nn.Embedding(9, 6), nn.Flatten(), nn.Linear(30, 10), nn.Tanh(), nn.Linear(10, OUTPUTS)]
    assert matrices(nn.Sequential(*layers), False) == ["2.weight"]
    assert matrices(nn.Sequential(*layers), True) == ["0.weight", "2.weight"]
    values, arrays = truncate(planted(2, layers), embeddings="cut")
    assert list(values["matrices"]) == ["0.weight", "2.weight"]
    assert arrays["update"][1, 2:].tolist() == [pytest.approx(0.9)] * 4  # ranks 2, 4, 8, 10


def test_random_directions_hold_their_share():
    """The null: of the sum of squares, k of s random triples hold k / s; the first k of a cut to k hold the most."""
    matrix = torch.randn(40, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    factors = Factors.of(matrix)
    energy = matrix.square().sum()
    torch.testing.assert_close(factors.first(30, seed=3), matrix)
    shares = torch.stack([factors.first(10, seed=seed).square().sum() / energy for seed in range(300)])
    sd = shares.std() / 300**0.5
    assert abs(shares.mean() - 10 / 30) < 4 * sd
    assert factors.first(10).square().sum() / energy > shares.max()
    assert torch.linalg.matrix_rank(factors.first(10, seed=0)) == 10


def test_the_draws_share_their_ends():
    _, arrays = truncate(planted(3), draws=2)
    for kind in ("update", "pretrained"):
        drawn = arrays[f"{kind}_random"]
        assert drawn.shape == (2, 2, len(arrays["ranks"]))
        for end in (0, -1):
            assert (drawn[..., end] == arrays[kind][:, end]).all()
        assert not drawn[0].equal(drawn[1])


def test_what_cannot_be_cut():
    run = planted(3)
    for options, rule in (
        ({"ranks": [2, 11]}, r"need 0 <= k <= 10, the rank of the largest matrix, got ranks=11"),
        ({"ranks": [-1]}, r"got ranks=-1"),
        ({"splits": ["dev"]}, r"need splits to be train or validation or test, got dev"),
        ({"keep": "bias"}, r"need keep to be all or head or nothing, got bias"),
        ({"embeddings": "yes"}, r"need embeddings to be whole or cut, got yes"),
        ({"draws": -1}, r"need draws >= 0, got draws=-1"),
    ):
        with pytest.raises(UserError, match=rule):
            truncate(run, **options)
    still = reopened(run.start, copy.deepcopy(run.start), run.task)
    with pytest.raises(UserError, match="none of the 2 matrices to cut has moved"):
        truncate(still)


def test_the_best_constant_answer():
    def score(outputs, targets):
        return (outputs.argmax(-1) == targets).float()

    train = Split(torch.zeros(4, 1), torch.tensor([0, 1, 1, 2]))
    test = Split(torch.zeros(5, 1), torch.tensor([1, 1, 0, 3, 2]))
    task = Task(train, test, test, 4, loss=nn.functional.cross_entropy, score=score)
    assert guess(task, train) == {"loss": pytest.approx(1.5 * np.log(2)), "accuracy": 0.5}
    found = guess(task, test)  # of its classes one was never seen: as a float32 says "never", and not infinite
    assert found["accuracy"] == pytest.approx(0.4)
    assert found["loss"] == pytest.approx((2 * np.log(2) + 2 * np.log(4) + 126 * np.log(2)) / 5)
    numbers = Split(torch.zeros(3, 1), torch.tensor([0.0, 1.0, 5.0]))
    task = Task(numbers, numbers, numbers, 1, loss=lambda outputs, targets: (outputs[:, 0] - targets).square().mean(),
                metrics=lambda outputs, targets: {"r": float("nan")}, metric="r")  # fmt: skip
    assert guess(task, numbers) == {"loss": pytest.approx(14 / 3)}
