"""GRPO: a policy gradient from groups of answers."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

from intrinsic.checks import integer, number
from intrinsic.errors import UserError

SAMPLES = ("drawn", "exact")


class GRPO(AdamW):
    """AdamW on the policy gradient of rewards, for language models: group relative policy optimisation.

    Of each prompt a `group` of answers is drawn from the policy pi, with rewards r_i, and advantages
    A_i = (r_i - mean r) / (std r + eps). The loss is the sum over all tokens t of the batch of

        -min(rho_it A_i, clip(rho_it, 1 - clip, 1 + clip) A_i) + kl (q_it - log q_it - 1),

    divided by their number, rho = pi / (pi as it drew the answer), q = pi_0 / pi. Probabilities are those at the
    temperature. pi_0 is the policy at the trained numbers that the optimiser was made with: theta_0. Sources: Shao et
    al. 2024, DeepSeekMath, arXiv:2402.03300, equations 3 and 4, with the mean over tokens of Yu et al. 2025, DAPO,
    arXiv:2503.14476, equation 8; without the standard deviation as Liu et al. 2025, arXiv:2503.20783.

    Args:
        params: what is trained, as for any optimiser.
        lr: of AdamW.
        group: answers of each prompt.
        samples: "drawn"; "exact": of answers of one token all of the vocabulary, weighted by pi: without noise.
        temperature: of the policy.
        normalize: whether advantages are divided by the standard deviation; else by nothing.
        eps: added to it.
        kl: weight of the estimated KL divergence from theta_0; 0: none, and nothing is kept of theta_0.
        updates: steps of the optimiser for each batch of answers.
        clip: how far rho may go from 1 before its gradient ends, where there are several updates.
        betas: of AdamW.
        weight_decay: of AdamW.

    Raises:
        UserError: for what is out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.0001,
        *,
        group: int = 8,
        samples: str = "drawn",
        temperature: float = 1.0,
        normalize: bool = True,
        eps: float = 1e-4,
        kl: float = 0.0,
        updates: int = 1,
        clip: float = 0.2,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)
        if samples not in SAMPLES:
            raise UserError(f"need optim.samples={' or '.join(SAMPLES)}, got optim.samples={samples!r:.100}")
        self.group, self.updates = integer("optim.group", group, 2), integer("optim.updates", updates, 1)
        self.samples = samples
        self.temperature, self.eps = _above_zero("temperature", temperature), _above_zero("eps", eps)
        if not isinstance(normalize, bool):
            raise UserError(f"need optim.normalize to be true or false, got optim.normalize={normalize!r:.100}")
        self.normalize = normalize
        self.kl, self.max_change = number("optim.kl", kl, 0), number("optim.clip", clip, 0)
        self._first = [p.detach().clone() for p in self._trained()] if self.kl else []

    def _trained(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def advantages(self, rewards: Tensor) -> Tensor:
        """A of rewards (prompts, group): the standard deviation is that of the group, with Bessel's correction."""
        above = rewards - rewards.mean(1, keepdim=True)
        return above / (rewards.std(1, keepdim=True) + self.eps) if self.normalize else above

    def exact_advantages(self, rewards: Tensor, shares: Tensor) -> Tensor:
        """A of the rewards of all answers, which come with the probabilities `shares`: both (prompts, answers)."""
        above = rewards - (shares * rewards).sum(1, keepdim=True)
        if not self.normalize:
            return above
        return above / ((shares * above.square()).sum(1, keepdim=True).sqrt() + self.eps)

    @contextmanager
    def at_start(self) -> Iterator[None]:
        """The trained numbers are those of theta_0 for a while; outside of any graph of autograd."""
        trained = self._trained()
        with torch.no_grad():
            now = [parameter.clone() for parameter in trained]
            try:
                _copy(trained, self._first)
                yield
            finally:
                _copy(trained, now)


def _above_zero(name: str, value: float) -> float:
    if not number(f"optim.{name}", value) > 0:
        raise UserError(f"need optim.{name} > 0, got optim.{name}={value}")
    return float(value)


def _copy(into: list[Tensor], values: list[Tensor]) -> None:
    for parameter, value in zip(into, values, strict=True):
        parameter.copy_(value)
