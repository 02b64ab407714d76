"""All answers of one token, and what a policy learns from them: without noise."""

from collections.abc import Mapping

import torch
from torch import Tensor

from intrinsic.errors import UserError
from intrinsic.subspace import Subspace
from intrinsic.tasks.instructions import PROMPT
from intrinsic.tasks.language import ABSENT
from intrinsic.tasks.task import Split, Task
from intrinsic.training.generate import prompts_of
from intrinsic.training.grpo import GRPO


class OneTokenRewards:
    """The reward of every token of the vocabulary as an answer.

    Raises:
        UserError: unless answers have one token, `max_new_tokens`.
    """

    def __init__(self, task: Task) -> None:
        assert task.generation is not None
        self._of = task.generation
        if self._of.length != 1:
            raise UserError(
                f"optim.samples=exact weighs all answers of one token, got dataset.max_new_tokens={self._of.length}: "
                "use dataset.max_new_tokens=1, or optim.samples=drawn"
            )
        self._every = torch.arange(task.num_outputs)[:, None]
        self._known: dict[str, Tensor] = {}  # by reference

    def __call__(self, rows: Tensor) -> Tensor:
        """Of the examples of these rows (n,): (n, num_outputs)."""
        return torch.stack([self._rewards(row) for row in rows])

    def _rewards(self, row: Tensor) -> Tensor:
        reference = self._of.answers[int(row)]
        if reference not in self._known:
            self._known[reference] = self._of.judge(self._every, row.expand(len(self._every)))
        return self._known[reference]


class ExactAnswers:
    """Every answer of one token of each prompt, with its probability.

    Args:
        net: the policy.
        rewards: of the task.
        optimizer: says what is learned.
        split: the prompts.

    Attributes:
        reward: the expected one, the mean over prompts, in evaluation mode.
    """

    def __init__(self, net: Subspace, rewards: OneTokenRewards, optimizer: GRPO, split: Split) -> None:
        assert split.rows is not None
        self._net, self._optimizer = net, optimizer
        ids, lengths = prompts_of(split.inputs)
        self._inputs = torch.stack([ids, torch.full_like(ids, PROMPT).masked_fill(ids < 0, ABSENT)], 1)
        self._last = torch.arange(len(ids), device=ids.device), lengths - 1
        self._rewards = rewards(split.rows).to(ids.device)
        with torch.no_grad():
            net.eval()
            self.reward = (self._log_shares(net.weights()).exp() * self._rewards).sum(1).mean().item()
        self._first: Tensor | None = None
        if optimizer.kl:
            with torch.no_grad(), optimizer.at_start():
                self._first = self._log_shares(net.weights())

    def _log_shares(self, weights: Mapping[str, Tensor]) -> Tensor:
        """log pi of every answer: (prompts, num_outputs)."""
        logits = self._net.call(weights, self._inputs)[self._last][:, : self._rewards.shape[1]]
        return (logits / self._optimizer.temperature).log_softmax(-1)

    def loss(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Minus the mean of sum_a pi(a) A(a), A held fixed, plus kl * sum_a pi(a) log(pi(a) / pi_0(a))."""
        log_shares = self._log_shares(weights)
        shares, rewards = log_shares.exp(), self._rewards.to(log_shares.dtype)
        gains = shares * self._optimizer.exact_advantages(rewards, shares.detach())
        if self._first is not None:
            gains = gains - self._optimizer.kl * shares * (log_shares - self._first)
        return -gains.sum(1).mean()
