"""Policy gradients on prompts, beside autograd of the expected reward, and how `fit` takes them."""

from dataclasses import replace
from functools import partial

import pytest
import torch

import intrinsic
from intrinsic.errors import UserError
from intrinsic.models.hf_lm import hf_lm
from intrinsic.subspace import Subspace
from intrinsic.training.drawn_answers import DrawnAnswers, by_chance
from intrinsic.training.exact_answers import ExactAnswers, OneTokenRewards
from intrinsic.training.fit import fit
from intrinsic.training.generate import generate
from intrinsic.training.grpo import GRPO
from tests.intrinsic.training.test_generate import task_of
from tests.support.tiny_language import MODEL
from tests.support.tiny_pairs import LETTERS, make_pairs_folder, write_sums

pytest.importorskip("transformers")

METHODS = {
    "full": {},
    "subspace": {"projection": intrinsic.Fastfood, "dim": 40},
    "lora": {"space": intrinsic.LoRA(rank=2)},
}
every_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_pairs_folder(tmp_path_factory.mktemp("llama"), initializer_range=0.3)


@pytest.fixture(scope="module")
def task(folder, tmp_path_factory):
    """Sums below 10, each answered by one token."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        return task_of(folder, write_sums(tmp_path_factory.mktemp("sums") / "s.jsonl", most=5), max_new_tokens=1)


def net_of(folder, task, method="full"):
    return Subspace(hf_lm(task.input_shape, task.num_outputs, name=str(folder), **MODEL).double(), **METHODS[method])


def move(net):
    """Somewhere else than at theta_0."""
    with torch.no_grad():
        for lane, parameter in enumerate(net.parameters()):
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(lane))


def expected_reward(net, split):
    """The mean over prompts of sum_a pi(a | prompt) r(a): each prompt by itself, its reward 1 for the sum alone."""
    total = 0
    for (ids, kinds), row in zip(split.inputs, split.rows.tolist(), strict=True):
        logits = net(input_ids=ids[kinds == 0].long()[None]).logits
        total = total + logits[0, -1].softmax(-1)[LETTERS.index(str(sum(divmod(row, 5))))]
    return total / len(split)


def grads(net, loss):
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(net.parameters()), materialize_grads=True)])


@every_method
def test_the_exact_gradient_is_that_of_the_expected_reward(method, folder, task):
    net = net_of(folder, task, method)
    move(net)
    split = task.train.select(torch.arange(7))
    optimizer = GRPO(net.parameters(), samples="exact", normalize=False)
    batch = ExactAnswers(net, OneTokenRewards(task), optimizer, split)
    expected = expected_reward(net, split)
    found = grads(net, batch.loss(net.weights()))
    torch.testing.assert_close(-found, grads(net, expected), atol=1e-6 * found.abs().max().item(), rtol=1e-6)
    assert batch.reward == pytest.approx(expected.item(), rel=1e-6)
    assert found.abs().max() > 1e-4


@every_method
def test_the_drawn_gradient_is_so_in_expectation(method, folder, task, monkeypatch):
    """Over all pairs of answers, each pair with its probability; the mean of a pair takes half of the gradient.

    The baseline of a group holds the answer's own reward: E sum_i (r_i - mean r) grad log pi_i / G is
    (1 - 1 / G) times the gradient of the expected reward.
    """
    net = net_of(folder, task, method)
    move(net)
    size = task.num_outputs
    every = torch.cartesian_prod(torch.arange(size), torch.arange(size))  # (size^2, 2)
    monkeypatch.setattr("intrinsic.training.drawn_answers.by_chance", lambda *_, **__: lambda *_: every.flatten())
    split = task.train.select(torch.zeros(1, dtype=torch.int64))
    ids, kinds = split.inputs[0]
    shares = net(input_ids=ids[kinds == 0].long()[None]).logits[0, -1].detach().softmax(-1)

    class Weighted(GRPO):
        def advantages(self, rewards):
            weights = shares[every].prod(1, keepdim=True) * len(every)
            return weights * super().advantages(rewards.double())

    many = task.train.select(torch.zeros(len(every), dtype=torch.int64))
    batch = DrawnAnswers(net, task, Weighted(net.parameters(), group=2, normalize=False), many, seed=0)
    found = grads(net, batch.loss(net.weights()))
    expected = grads(net, expected_reward(net, split))
    torch.testing.assert_close(-2 * found, expected, atol=1e-6 * expected.abs().max().item(), rtol=1e-6)
    assert expected.abs().max() > 1e-4


def logs(net, split):
    rows = [net(input_ids=ids[kinds == 0].long()[None]).logits[0, -1] for ids, kinds in split.inputs]
    return torch.stack(rows).log_softmax(-1)


@every_method
def test_the_exact_divergence(method, folder, task):
    """0.5 times the mean over prompts of sum_a pi log(pi / pi_0), added to the loss."""
    net = net_of(folder, task, method)
    split = task.train.select(torch.arange(3))
    optimizers = [GRPO(net.parameters(), samples="exact", normalize=False, kl=kl) for kl in (0.0, 0.5)]
    with torch.no_grad():
        first = logs(net, split)
        move(net)
        plain, held = (ExactAnswers(net, OneTokenRewards(task), o, split).loss(net.weights()) for o in optimizers)
        now = logs(net, split)
    expected = 0.5 * (now.exp() * (now - first)).sum(1).mean()
    assert (held - plain).item() == pytest.approx(expected.item(), rel=1e-6)
    assert expected > 1e-3


@every_method
def test_the_estimated_divergence(method, folder, task):
    """0.5 times the mean over the drawn tokens of q - log q - 1, q = pi_0 / pi; the net stays where it is."""
    net = net_of(folder, task, method)
    split = task.train.select(torch.arange(3))
    optimizers = [GRPO(net.parameters(), group=4, normalize=False, kl=kl) for kl in (0.0, 0.5)]
    with torch.no_grad():
        first = logs(net, split)
        move(net)
        before = [parameter.clone() for parameter in net.parameters()]
        plain, held = (DrawnAnswers(net, task, o, split, seed=1).loss(net.weights()) for o in optimizers)
        assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
        behind = (first - logs(net, split)).repeat_interleave(4, 0)
        many = task.train.select(torch.arange(3).repeat_interleave(4))
        drawn = generate(net, task, many.inputs, by_chance(12, 1, temperature=1.0, seed=1))
        behind = behind.gather(1, drawn)
    expected = 0.5 * (behind.exp() - behind - 1).mean()
    assert (held - plain).item() == pytest.approx(expected.item(), rel=1e-6)
    assert expected > 1e-3


@pytest.mark.parametrize("samples", ["drawn", "exact"])
def test_rewards_rise(samples, folder, task):
    torch.manual_seed(0)
    net = Subspace(hf_lm(task.input_shape, task.num_outputs, name=str(folder), **MODEL))
    optimizer = GRPO(net.parameters(), lr=0.01, samples=samples, group=16)
    state = torch.get_rng_state()
    epochs = list(fit(net, task, optimizer, epochs=12, batch_size=8, seed=0))
    assert torch.equal(state, torch.get_rng_state())
    rewards = [-epoch.train_loss for epoch in epochs]
    assert rewards[-1] > 0.15 + rewards[0]
    assert epochs[-1].train["exact_match"] > 0.3


@pytest.mark.parametrize("samples", ["drawn", "exact"])
def test_answers_are_made_in_evaluation_mode_and_learned_from_in_training_mode(samples, folder, task):
    net, modes = net_of(folder, task).float(), []
    net.model.model.register_forward_pre_hook(
        lambda module, _: modes.append((module.training, torch.is_grad_enabled()))
    )
    optimizer = GRPO(net.parameters(), samples=samples, kl=0.1, updates=2)
    next(fit(net, task, optimizer, epochs=1, batch_size=len(task.train), seed=0))
    made, start, *learned = modes[:4]
    assert made == start == (False, False)
    assert learned == [(True, True)] * 2


def test_each_batch_of_answers_is_drawn_by_itself(folder, task, monkeypatch):
    seeds = []
    usual = DrawnAnswers.__init__

    def noted(self, *args, seed):
        seeds.append(seed)
        usual(self, *args, seed=seed)

    monkeypatch.setattr(DrawnAnswers, "__init__", noted)
    net = net_of(folder, task).float()
    list(fit(net, task, GRPO(net.parameters()), epochs=2, batch_size=5, seed=0))
    assert len(set(seeds)) == len(seeds) == 2 * -(-len(task.train) // 5)


def test_a_schedule_takes_each_update(folder, task):
    net = net_of(folder, task).float()
    optimizer = GRPO(net.parameters(), lr=0.5, updates=3)
    schedule = partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    list(fit(net, task, optimizer, epochs=1, batch_size=10, seed=0, schedule=schedule, interval="step"))
    assert optimizer.param_groups[0]["lr"] == 0.5 * 0.5 ** (3 * -(-len(task.train) // 10))


def test_answers_of_several_tokens_cannot_be_weighed(folder, task):
    longer = replace(task, generation=replace(task.generation, max_new_tokens=2))
    with pytest.raises(UserError, match="weighs all answers of one token, got dataset"):
        OneTokenRewards(longer)
