"""Who acts in deep Q-learning, and learns from transitions."""

import copy
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional

from intrinsic.subspace import Subspace
from intrinsic.training.deep_q_learning import DeepQLearning
from intrinsic.training.experience import Experience
from intrinsic.training.optimizer_step import optimizer_step, zero_grad
from intrinsic.training.regularized import regularized


class QLearner:
    """Q, a net whose weights are looked up once for each update, and Q' (see `DeepQLearning`).

    Args:
        net: Q.
        optimizer: over `net.parameters()`, with what it has been through.
        l2_weights: see `intrinsic.training.fit`.
    """

    def __init__(self, net: Subspace, optimizer: DeepQLearning, *, l2_weights: float) -> None:
        assert optimizer.experience is not None
        self._net, self._optimizer = net, optimizer
        self._l2, self._leaves = l2_weights, net.leaves()
        self._weights = {} if self._leaves is None else self._leaves.weights
        self._target = _Target(net, optimizer.experience) if optimizer.target == "network" else None

    def held(self) -> AbstractContextManager[None]:
        """Within it the learner is alone with the net."""
        return nullcontext() if self._leaves is None else self._leaves.held()

    def move(self) -> None:
        """Go to the trained numbers as they are now."""
        if self._leaves is None:
            self._weights = self._net.weights()
        else:
            self._leaves.move()

    def act(self, observations: Tensor, draws: Tensor, num_actions: int) -> Tensor:
        """An action for one observation, (1, *observation_shape) -> (1,) int64: by chance or the best.

        `draws` are two even numbers in [0, 1): whether by chance, and which.
        """
        chance, which = draws.tolist()
        if chance < self._optimizer.exploration():
            return torch.tensor([int(which * num_actions)], device=observations.device)
        with torch.no_grad():
            return self._values(observations).argmax(-1)

    def update(self, experience: Experience, draws: Tensor) -> None:
        """Take one step of the optimiser, with the transitions that `draws` in [0, 1) choose: (batch,)."""
        observations, actions, rewards, goes_on = experience.draw(draws)
        zero_grad(self._optimizer)
        if self._target is None:
            found, later = self._values(observations.flatten(0, 1)).chunk(2)
            later = later.detach()
        else:
            found, later = self._values(observations[0]), self._target(observations[1])
        # (Q(s, a) - r - gamma max_a' Q'(s', a'))^2
        worth = rewards + self._optimizer.gamma * goes_on * later.amax(1)
        self._backward(functional.mse_loss(found.gather(1, actions[:, None])[:, 0], worth))
        self._optimizer.clip()
        optimizer_step(self._optimizer)
        self.move()
        experience.updates += 1
        if self._target is not None:
            self._target.follow(self._optimizer.target_rate)

    def _values(self, observations: Tensor) -> Tensor:
        leaves = self._leaves
        values: Tensor = self._net.call(self._weights, observations) if leaves is None else leaves.call(observations)
        return values

    def _backward(self, loss: Tensor) -> None:
        """Leave the gradient of the loss, with that of `regularized`, at the trained numbers."""
        if self._leaves is None:
            regularized(loss, self._weights, self._l2).backward()
            return
        loss.backward()
        if self._l2:
            for weight in self._weights.values():
                if weight.ndim > 1 and weight.grad is not None:
                    weight.grad.add_(weight.detach(), alpha=2 * self._l2)
        self._leaves.collect()


class _Target:
    """Q', a net whose trained numbers are those of the experience, which begin as those of `net`."""

    def __init__(self, net: Subspace, experience: Experience) -> None:
        self._net = copy.deepcopy(net).eval()
        own, led = dict(self._net.named_parameters()), dict(net.named_parameters())
        with torch.no_grad():
            for name, numbers in experience.target.items():
                own[name].copy_(numbers)
        self._pairs = [(own[name], led[name]) for name in own if own[name].requires_grad]
        experience.target = {name: own[name].detach() for name in own if own[name].requires_grad}

    @torch.no_grad()
    def __call__(self, observations: Tensor) -> Tensor:
        values: Tensor = self._net(observations)
        return values

    @torch.no_grad()
    def follow(self, rate: float) -> None:
        """Go that far towards the net."""
        for own, led in self._pairs:
            own.lerp_(led, rate)
