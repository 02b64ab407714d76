"""The training loop: formulas, reproducibility, stopping and going on."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import intrinsic
from experiments.run.state import RunState
from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.tasks.task import Split, classification
from intrinsic.training import early_stopping
from intrinsic.training.early_stopping import EarlyStopping
from intrinsic.training.evaluate import evaluate
from intrinsic.training.fit import fit

WITHOUT_TIME = {"seconds"}


def task(n=50):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(n, 6, generator=generator)
    targets = (inputs[:, 0] > inputs[:, 1]).long()
    return classification(*(Split(inputs, targets) for _ in range(3)), num_outputs=2)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))


def subspace():
    return intrinsic.Subspace(network(), projection=intrinsic.Fastfood, dim=20, seed=1)


def plain(epochs):
    return [{key: value for key, value in e.to_dict().items() if key not in WITHOUT_TIME} for e in epochs]


OPTIMIZERS = {
    "adam": partial(torch.optim.Adam, lr=0.05),
    "adamw": partial(torch.optim.AdamW, lr=0.05, amsgrad=True),
    "sgd": partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "plain sgd": partial(torch.optim.SGD, lr=0.1),
}
SCHEDULES = {
    "constant": None,
    "cosine": partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=6),
    "steps": partial(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.5),
}


def test_an_epoch_is_what_it_says():
    """One epoch of plain gradient descent, written out."""
    net, data = intrinsic.Subspace(nn.Linear(6, 2)), task(20)
    origin = {name: p.detach().clone() for name, p in net.model.named_parameters()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    (epoch,) = fit(net, data, optimizer, epochs=1, batch_size=8, seed=5, l2_weights=0.3)
    order = torch.from_numpy(rng.permutation(rng.fan_out(rng.fan_out(5, "epoch", 1), "order"), 20))
    W, b, losses = origin["weight"], origin["bias"], []
    for batch in (order[:8], order[8:16], order[16:]):
        W, b = W.detach().requires_grad_(), b.detach().requires_grad_()
        loss = F.cross_entropy(F.linear(data.train.inputs[batch], W, b), data.train.targets[batch])
        losses.append(loss.item() * len(batch))
        gW, gb = torch.autograd.grad(loss + 0.3 * W.square().sum(), [W, b])  # kernels only, not biases
        W, b = W - 0.1 * gW, b - 0.1 * gb
    torch.testing.assert_close(net.model.weight, nn.Parameter(W))
    torch.testing.assert_close(net.model.bias, nn.Parameter(b))
    assert epoch.train_loss == pytest.approx(sum(losses) / 20)
    outputs = F.linear(data.validation.inputs, W, b)
    assert epoch.validation["loss"] == pytest.approx(F.cross_entropy(outputs, data.validation.targets).item())
    accuracy = (outputs.argmax(1) == data.validation.targets).float().mean().item()
    assert epoch.validation["accuracy"] == pytest.approx(accuracy)


def test_l2_acts_on_the_weights_and_not_on_z():
    net, data = subspace(), task()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    list(fit(net, data, optimizer, epochs=1, batch_size=50, seed=0, l2_weights=1.0))
    moved = net.z.detach().clone()
    net = subspace()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    list(fit(net, data, optimizer, epochs=1, batch_size=50, seed=0))
    kernels = torch.cat([p.reshape(-1) if p.ndim > 1 else torch.zeros_like(p) for p in network().parameters()])
    torch.testing.assert_close(net.z - moved, 0.1 * 2 * net.projection.adjoint(kernels))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_stopping_after_any_epoch_changes_nothing(optimizer, schedule, tmp_path):
    make = OPTIMIZERS[optimizer]
    options = {"epochs": 6, "batch_size": 16, "seed": 3, "schedule": SCHEDULES[schedule]}
    net = subspace()
    undisturbed = list(fit(net, task(), make(net.parameters()), **options))
    for stop in (1, 4):
        path = tmp_path / f"{stop}.safetensors"
        first = subspace()
        adam = make(first.parameters())
        state = RunState(path, first, adam, every=0.0)
        for epoch in fit(first, task(), adam, **options):
            state.add(epoch)
            if epoch.epoch == stop:
                break
        second = subspace()
        adam = make(second.parameters())
        state = RunState(path, second, adam, every=0.0)
        rest = list(fit(second, task(), adam, **options, history=state.load()))
        assert plain(state.history + rest) == plain(undisturbed)
        for mine, other in zip(second.state_dict().values(), net.state_dict().values(), strict=True):
            assert torch.equal(mine, other)


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_state():
    def run(seed, state):
        torch.manual_seed(state)
        net = subspace()
        torch.manual_seed(state)
        before = torch.get_rng_state()
        epochs = list(fit(net, task(), torch.optim.Adam(net.parameters(), lr=0.05), epochs=2, batch_size=16, seed=seed))
        assert torch.equal(torch.get_rng_state(), before)
        return plain(epochs)

    assert run(0, 1) == run(0, 2)
    assert run(0, 1) != run(1, 1)


def test_divergence_ends_the_run():
    net = subspace()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e30)
    epochs = list(fit(net, task(), optimizer, epochs=9, batch_size=16, seed=0))
    assert len(epochs) < 9
    assert epochs[-1].diverged
    assert not any(epoch.diverged for epoch in epochs[:-1])


def test_patience():
    net = subspace()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)  # never better than the first epoch
    net.model[1].momentum = 0.0  # nor do running statistics move
    epochs = list(fit(net, task(), optimizer, epochs=9, batch_size=16, seed=0, patience=3))
    assert [epoch.best for epoch in epochs] == [True, False, False, False]
    assert [epoch.test is not None for epoch in epochs] == [True, False, False, True]  # the best and the last
    again = fit(net, task(), optimizer, epochs=9, batch_size=16, seed=0, patience=3, history=epochs)
    assert list(again) == []


@pytest.mark.parametrize("patience", [None, 2, 3])
def test_going_on_from_scores_that_are_no_numbers(patience, monkeypatch):
    """A metric may be NaN at a finite loss, such as one that a constant prediction leaves undefined."""
    found, data = [math.nan, math.nan, 0.4, math.nan, 0.3, 0.6, 0.5, math.nan, 0.5], task()

    def after(history):
        course, epochs = EarlyStopping(data, len(found), patience, history), []
        while not course.over:
            scores = {"loss": 1.0, data.metric: found[course.number - 1]}
            monkeypatch.setattr(early_stopping, "evaluate", lambda *_, scores=scores: scores)
            epochs.append(course.measure(None, 1.0, 0.0))
        return epochs

    whole = after([])
    best = [epoch.epoch for epoch in whole if epoch.best]
    assert (best, len(whole)) == {None: ([3, 6], 9), 2: ([], 2), 3: ([3, 6], 9)}[patience]
    for cut in range(1, len(whole) + 1):
        rest = after(whole[:cut])
        assert [(e.epoch, e.best) for e in rest] == [(e.epoch, e.best) for e in whole[cut:]]


def test_evaluation_is_the_mean_over_all_examples():
    net, data = subspace(), task(2503)  # several batches, the last one smaller
    result = evaluate(net, data, data.test)
    net.eval()
    outputs = net(data.test.inputs)
    assert result["loss"] == pytest.approx(F.cross_entropy(outputs, data.test.targets).item(), rel=1e-5)
    assert result["accuracy"] == pytest.approx((outputs.argmax(1) == data.test.targets).double().mean().item())


def test_l2_of_nothing_is_nothing():
    net = intrinsic.Subspace(network(), space=intrinsic.BitFit())  # no kernels
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    (epoch,) = fit(net, task(), optimizer, epochs=1, batch_size=16, seed=0, l2_weights=1.0)
    assert not epoch.diverged


def test_evaluation_is_reproducible_even_of_a_random_model():
    class Noisy(nn.Linear):
        def forward(self, x):
            return super().forward(x + torch.randn_like(x))

    net, data = intrinsic.Subspace(Noisy(6, 2)), task()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = evaluate(net, data, data.test)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert evaluate(net, data, data.test) == first


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"epochs": 0}, "need an integer epochs >= 1, got epochs=0"),
        ({"epochs": 1.5}, "need an integer epochs"),
        ({"batch_size": "8"}, "need an integer batch_size >= 1, got batch_size='8'"),
        ({"l2_weights": -1}, "need a finite l2_weights >= 0"),
        ({"l2_weights": math.nan}, "need a finite l2_weights"),
        ({"patience": 0}, "need an integer patience"),
    ],
)
def test_numbers_are_checked(change, match):
    net = subspace()
    options = {"epochs": 1, "batch_size": 8, "seed": 0} | change
    with pytest.raises(intrinsic.UserError, match=match):
        fit(net, task(), torch.optim.SGD(net.parameters(), lr=0.1), **options)


def test_an_optimiser_that_asks_for_several_gradients_a_step_is_refused():
    net = subspace()
    with pytest.raises(UserError, match="one gradient a step, and LBFGS asks for several: use optim=adam"):
        list(fit(net, task(), torch.optim.LBFGS(net.parameters()), epochs=1, batch_size=8, seed=0))
    assert not net.z.any()
