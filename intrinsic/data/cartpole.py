"""CartPole: a pole on a cart that must not fall."""

import math

import numpy as np
import torch
from torch import Tensor

from intrinsic import rng
from intrinsic.tasks.control import control
from intrinsic.tasks.environment import Environment
from intrinsic.tasks.task import Task

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
MOST_PLACE, MOST_ANGLE = 2.4, math.radians(12)  # beyond them an episode ends
START = 0.05  # places, speeds, angles begin evenly within plus and minus this


class CartPole(Environment):
    """Push a cart left or right so that its pole stays up: a reward of 1 for each step, 200 at most.

    A state is (n, 4) float64 of numpy: the cart's place, speed, the pole's angle and angular speed. Euler's method in
    steps of 0.02 s. Source: Barto, Sutton & Anderson 1983, "Neuronlike adaptive elements that can solve difficult
    learning control problems", with the constants of gymnasium's CartPole-v0.
    """

    name, observation_shape, num_actions, horizon = "cartpole", (4,), 2, 200

    def reset(self, seeds: Tensor) -> tuple[np.ndarray, Tensor]:
        """Begin episodes."""
        listed = seeds.tolist()
        drawn = {seed: rng.uniforms(seed, 4) for seed in set(listed)}  # a population begins alike
        state = START * (2 * np.stack([drawn[seed] for seed in listed]) - 1)
        return state, _observed(state, seeds.device)

    def step(self, state: np.ndarray, actions: Tensor) -> tuple[np.ndarray, Tensor, Tensor, Tensor]:
        """Push: 0 to the left, 1 to the right."""
        _, speed, angle, turning = state.T
        force, sine, cosine = FORCE * (2 * actions.cpu().numpy() - 1), np.sin(angle), np.cos(angle)
        push = (force + POLE * HALF_LENGTH * turning**2 * sine) / (CART + POLE)
        turn = (GRAVITY * sine - cosine * push) / (HALF_LENGTH * (4 / 3 - POLE * cosine**2 / (CART + POLE)))
        speeding = push - POLE * HALF_LENGTH * turn * cosine / (CART + POLE)
        rates = np.array([speed, speeding, turning, turn])
        state = state + SECONDS * rates.T
        ended = torch.from_numpy((np.abs(state[:, 0]) > MOST_PLACE) | (np.abs(state[:, 2]) > MOST_ANGLE))
        device = actions.device
        return state, _observed(state, device), torch.ones(len(state), device=device), ended.to(device)


def _observed(state: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(state.astype(np.float32)).to(device)


def cartpole(*, episodes: int) -> Task:
    """The task of `CartPole`: see `intrinsic.tasks.control`."""
    return control(CartPole(), episodes=episodes)
