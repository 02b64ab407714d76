"""Answers that a policy has drawn, and what it learns from them."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from intrinsic import rng
from intrinsic.subspace import Subspace
from intrinsic.tasks.instructions import COMPLETION, PROMPT
from intrinsic.tasks.language import ABSENT
from intrinsic.tasks.task import Split, Task
from intrinsic.training.generate import Choice, generate, prompts_of
from intrinsic.training.grpo import GRPO


class DrawnAnswers:
    """A group of answers of each prompt, drawn from the policy as it is, with their rewards.

    Args:
        net: the policy.
        task: of the prompts.
        optimizer: says how many are drawn, and what is learned from them.
        split: the prompts.
        seed: of the answers.

    Attributes:
        reward: the mean of the answers.
    """

    def __init__(self, net: Subspace, task: Task, optimizer: GRPO, split: Split, *, seed: int) -> None:
        self._net, self._optimizer, self._choices = net, optimizer, task.num_outputs
        split = split.select(torch.arange(len(split)).repeat_interleave(optimizer.group))
        assert task.generation is not None
        assert split.rows is not None
        net.eval()
        draws = by_chance(len(split), task.generation.length, temperature=optimizer.temperature, seed=seed)
        answers = generate(net, task, split.inputs, draws)
        rewards = task.generation.judge(answers, split.rows)
        self.reward = rewards.mean().item()
        self._advantages = optimizer.advantages(rewards.view(-1, optimizer.group)).view(-1, 1).to(answers.device)
        self._inputs, self._targets = followed(split.inputs, answers)
        self._first: Tensor | None = None
        self._old: Tensor | None = None
        if optimizer.kl:
            with torch.no_grad(), optimizer.at_start():
                self._first = self._log_shares(net.weights())

    def _log_shares(self, weights: Mapping[str, Tensor]) -> Tensor:
        """log pi of each token of the answers, 0 elsewhere: (answers, length)."""
        logits = self._net.call(weights, self._inputs)[..., : self._choices] / self._optimizer.temperature
        flat = functional.cross_entropy(
            logits.flatten(0, 1), self._targets.flatten(), ignore_index=ABSENT, reduction="none"
        )
        return -flat.view(self._targets.shape)

    def loss(self, weights: Mapping[str, Tensor]) -> Tensor:
        """What `GRPO` minimises, at these weights of the net; those of the first call have drawn the answers."""
        log_shares = self._log_shares(weights)
        if self._old is None:
            self._old = log_shares.detach()
        of = self._optimizer
        return grpo_loss(
            log_shares, self._old, self._first, self._advantages, self._targets >= 0, clip=of.max_change, kl=of.kl
        )


def grpo_loss(
    log_shares: Tensor,
    old: Tensor,
    first: Tensor | None,
    advantages: Tensor,
    used: Tensor,
    *,
    clip: float,
    kl: float,
) -> Tensor:
    """The loss of `GRPO`: the mean over the tokens that are `used`.

    Args:
        log_shares: log pi of each token, (answers, length), as the others are.
        old: as the answers were drawn.
        first: log pi_0; None where kl is 0.
        advantages: A, (answers, 1).
        used: where there are tokens.
        clip: see `GRPO`.
        kl: see `GRPO`.
    """
    rho = (log_shares - old).exp()
    loss = -torch.minimum(rho * advantages, rho.clamp(1 - clip, 1 + clip) * advantages)
    if first is not None:
        behind = first - log_shares
        loss = loss + kl * (behind.exp() - behind - 1)  # an estimate of KL(pi, pi_0) that is never negative
    return (loss * used).sum() / used.sum()


def by_chance(count: int, length: int, *, temperature: float, seed: int) -> Choice:
    """Draws tokens from softmax(logits / temperature): a function of the seed, the answer and the token's number."""
    uniforms = torch.from_numpy(rng.uniforms(seed, count * length)).view(count, length)

    def choose(logits: Tensor, number: int) -> Tensor:
        below = (logits.double() / temperature).softmax(-1).cumsum(-1)
        drawn = uniforms[:, number].to(logits.device) * below[:, -1]
        return (below <= drawn[:, None]).sum(-1).clamp(max=logits.shape[-1] - 1)

    return choose


def followed(inputs: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
    """Prompts (n, 2, length) with other answers (n, tokens) behind them, and the targets of these: (n, longest)."""
    prompts, lengths = prompts_of(inputs)
    ids = functional.pad(prompts, (0, answers.shape[1]), value=ABSENT)
    places = lengths[:, None] + torch.arange(answers.shape[1], device=ids.device)
    ids = ids.scatter(1, places, answers)
    kinds = torch.full_like(ids, PROMPT).scatter(1, places, COMPLETION).masked_fill(ids < 0, ABSENT)
    targets = functional.pad(ids.masked_fill(kinds != COMPLETION, ABSENT)[:, 1:], (0, 1), value=ABSENT)
    return torch.stack([ids, kinds], 1), targets
