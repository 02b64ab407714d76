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

    A state is (n, 4) float64: the cart's place and speed, the pole's angle and angular speed. Euler's method in steps
    of 0.02 s. Source: Barto, Sutton & Anderson 1983, "Neuronlike adaptive elements that can solve difficult learning
    control problems", with the constants of gymnasium's CartPole-v0.
    """

    name, observation_shape, num_actions, horizon = "cartpole", (4,), 2, 200

    def reset(self, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """Begin episodes."""
        listed = seeds.tolist()
        drawn = {seed: rng.uniforms(seed, 4) for seed in set(listed)}  # a population begins alike
        state = torch.from_numpy(START * (2 * np.stack([drawn[seed] for seed in listed]) - 1)).to(seeds.device)
        return state, state.float()

    def step(self, state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Push: 0 to the left, 1 to the right."""
        _, speed, angle, turning = state.unbind(-1)
        force, sine, cosine = FORCE * (2 * actions - 1), angle.sin(), angle.cos()
        push = (force + POLE * HALF_LENGTH * turning.square() * sine) / (CART + POLE)
        turn = (GRAVITY * sine - cosine * push) / (HALF_LENGTH * (4 / 3 - POLE * cosine.square() / (CART + POLE)))
        speeding = push - POLE * HALF_LENGTH * turn * cosine / (CART + POLE)
        rates = torch.stack([speed, speeding, turning, turn], dim=-1)
        state = state + SECONDS * rates
        ended = (state[:, 0].abs() > MOST_PLACE) | (state[:, 2].abs() > MOST_ANGLE)
        return state, state.float(), torch.ones(len(state), device=state.device), ended


def cartpole(*, episodes: int) -> Task:
    """The task of `CartPole`: see `intrinsic.tasks.control`."""
    return control(CartPole(), episodes=episodes)
