"""GRPO's loss, advantages and draws beside naive formulas in float64, and its options."""

import math

import pytest
import torch

from intrinsic.errors import UserError
from intrinsic.training.drawn_answers import by_chance, grpo_loss
from intrinsic.training.grpo import GRPO


def test_the_loss_is_the_formula():
    """Term by term, with several tokens, changed probabilities and a divergence."""
    draw = torch.Generator().manual_seed(0)
    now, old, first = (-torch.rand(6, 4, generator=draw, dtype=torch.float64) for _ in range(3))
    used = torch.arange(4) < torch.tensor([1, 4, 2, 3, 4, 2])[:, None]
    advantages = torch.randn(6, 1, generator=draw, dtype=torch.float64)
    for kl in (0.0, 0.3):
        total, count = 0.0, 0
        for answer in range(6):
            for token in range(int(used[answer].sum())):
                rho = math.exp(now[answer, token] - old[answer, token])
                a = advantages[answer].item()
                q = math.exp(first[answer, token] - now[answer, token])
                total += -min(rho * a, min(max(rho, 0.8), 1.2) * a) + kl * (q - math.log(q) - 1)
                count += 1
        found = grpo_loss(now, old, first if kl else None, advantages, used, clip=0.2, kl=kl)
        assert found.item() == pytest.approx(total / count, rel=1e-12)


def test_advantages():
    rewards = torch.tensor([[1.0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 1]], dtype=torch.float64)
    made = GRPO([torch.zeros(1, requires_grad=True)], group=4)
    for row, found in zip(rewards.tolist(), made.advantages(rewards), strict=True):
        mean = sum(row) / 4
        deviation = math.sqrt(sum((r - mean) ** 2 for r in row) / 3)
        assert found.tolist() == pytest.approx([(r - mean) / (deviation + 1e-4) for r in row])
    made.normalize = False
    assert made.advantages(rewards)[2].tolist() == [-0.25, -0.25, -0.25, 0.75]
    shares = torch.tensor([[0.1, 0.2, 0.3, 0.4]], dtype=torch.float64)
    made.normalize = True
    deviation = math.sqrt(0.4 * 0.6)
    expected = [-0.4 / (deviation + 1e-4)] * 3 + [0.6 / (deviation + 1e-4)]
    assert made.exact_advantages(rewards[2:], shares)[0].tolist() == pytest.approx(expected)


def test_tokens_are_drawn_by_their_probabilities():
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0]).expand(40_000, -1)
    found = by_chance(40_000, 3, temperature=2.0, seed=5)(logits, 1)
    shares = (logits[0].double() / 2).softmax(-1)
    counts = torch.bincount(found, minlength=4)
    # five standard deviations of a count of 40,000 draws
    assert ((counts - 40_000 * shares).abs() < 5 * (40_000 * shares * (1 - shares)).sqrt()).all()
    assert torch.equal(found, by_chance(40_000, 3, temperature=2.0, seed=5)(logits, 1))
    assert not torch.equal(found, by_chance(40_000, 3, temperature=2.0, seed=5)(logits, 2))


@pytest.mark.parametrize(
    ("option", "match"),
    [
        ({"samples": "all"}, "need optim.samples=drawn or exact"),
        ({"group": 1}, "need an integer optim.group >= 2"),
        ({"updates": 0}, "need an integer optim.updates >= 1"),
        ({"temperature": 0}, "need optim.temperature > 0"),
        ({"normalize": 1}, "need optim.normalize to be true or false, got optim.normalize=1"),
        ({"eps": 0}, "need optim.eps > 0, got optim.eps=0"),
        ({"clip": -1}, "need a finite optim.clip >= 0"),
        ({"kl": math.inf}, "need a finite optim.kl >= 0"),
    ],
)
def test_bad_options(option, match):
    with pytest.raises(UserError, match=match):
        GRPO([torch.zeros(1, requires_grad=True)], **option)
