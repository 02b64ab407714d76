"""Environments of the package gymnasium, by their ids."""

import warnings
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.missing_package import missing_package
from intrinsic.tasks.environment import Environment, Policy
from intrinsic.terminal.one_line import one_line

ATARI = "ALE/"  # ids of the package ale-py, which registers them when it is imported


class GymnasiumEnvironment(Environment):
    """Episodes of `gymnasium.make_vec(id)`, in turn on one core, with a choice of actions or an action of numbers.

    Observations are one box of numbers, float32 whatever their dtype; pixels, uint8, are divided by 255. Numbers of an
    action are cut off at their bounds. A time limit ends an episode. An episode that has ended begins anew by itself,
    which nobody counts.

    Args:
        id: as gymnasium has it, with its version: InvertedPendulum-v5.
        horizon: the most steps of an episode; None: those of its own time limit.
        frames: of Atari: grey, 84 x 84 pixels, so many of every fourth frame; 0: observations as they are.

    Raises:
        UserError: without gymnasium or a package that the environment asks for; for an id that is not there, and for
            observations and actions of other kinds.
    """

    def __init__(self, id: str, *, horizon: int | None = None, frames: int = 0) -> None:  # noqa: A002 (its name there)
        self.name = id
        self._frames = integer("environment.frames", frames, 0)
        self._id, self._several = _known(id), dict[int, Any]()
        from gymnasium import spaces

        made = self._make(1)
        space, actions = made.single_observation_space, made.single_action_space
        if not isinstance(space, spaces.Box):
            raise UserError(f"{id} has observations {one_line(space)}: need one box of numbers")
        self._scale = 1 / 255 if space.dtype == np.uint8 else 1.0
        self.observation_shape = tuple(space.shape)
        self.is_choice = isinstance(actions, spaces.Discrete)
        if isinstance(actions, spaces.Discrete):
            self.num_actions, self._first = int(actions.n), int(actions.start)
        elif isinstance(actions, spaces.Box) and np.isfinite([actions.low, actions.high]).all():
            self._low, self._high = (torch.from_numpy(each).flatten().float() for each in (actions.low, actions.high))
            self.num_actions, self._action_shape = self._low.numel(), actions.shape
        else:
            raise UserError(f"{id} has actions {one_line(actions)}: need a choice, or numbers between bounds")
        limit = made.spec.max_episode_steps if horizon is None else integer("environment.horizon", horizon, 1)
        if limit is None:
            raise UserError(f"{id} has no time limit of its own: set environment.horizon")
        self.horizon = int(limit)

    def reset(self, seeds: Tensor) -> tuple[Any, Tensor]:
        """Begin episodes; the state is gymnasium's own, which the next `reset` of as many takes over."""
        several = self._several.get(len(seeds)) or self._make(len(seeds))
        observations, _ = several.reset(seed=seeds.tolist())
        return several, self._observed(observations).to(seeds.device)

    def step(self, state: Any, actions: Tensor) -> tuple[Any, Tensor, Tensor, Tensor]:
        """Act: (n,) int64, or (n, num_actions) numbers."""
        observations, rewards, fallen, late, _ = state.step(self._given(actions))
        numbers = self._observed(observations), torch.from_numpy(rewards).float(), torch.from_numpy(fallen | late)
        seen, gained, ended = (each.to(actions.device) for each in numbers)
        return state, seen, gained, ended

    def returns(self, policy: Policy, seeds: Tensor) -> Tensor:
        """Those of `Environment.returns`; an episode that has ended takes no more steps."""
        state, first = self.reset(seeds)
        seen, total, alive = [first[0].numpy()] * len(seeds), np.zeros(len(seeds), np.float32), list(range(len(seeds)))
        observations = first
        for _ in range(self.horizon):
            given, going = self._given(self.actions(policy(observations))), []
            for k in alive:
                seen[k], reward, fallen, late, _ = state.envs[k].step(given[k])
                total[k] += np.float32(reward)
                if not (fallen or late):
                    going.append(k)
            alive = going
            if not alive:
                break
            observations = self._observed(np.stack(seen)).to(first.device)
        return torch.from_numpy(total).to(first.device)

    def actions(self, outputs: Tensor) -> Tensor:
        """The choice of the largest, or the numbers themselves, between their bounds."""
        if self.is_choice:
            return super().actions(outputs)
        low, high = self._low.to(outputs), self._high.to(outputs)
        return outputs.nan_to_num().clamp(low, high)

    def random_outputs(self, count: int, generator: torch.Generator) -> Tensor:
        """Outputs whose actions are drawn evenly, of numbers between their bounds."""
        drawn = super().random_outputs(count, generator)
        return drawn if self.is_choice else self._low + (self._high - self._low) * drawn

    def _observed(self, observations: Any) -> Tensor:
        return torch.from_numpy(np.asarray(observations)).float() * self._scale

    def _given(self, actions: Tensor) -> np.ndarray:
        """Actions as gymnasium takes them."""
        given: np.ndarray = actions.cpu().numpy()
        return given + self._first if self.is_choice else given.reshape(len(given), *self._action_shape)

    def _make(self, count: int) -> Any:
        """So many episodes side by side, kept for the next time."""
        import gymnasium

        options: dict[str, Any] = {"frameskip": 1} if self._frames else {}
        wrappers = [_grey, lambda each: _stacked(each, self._frames)] if self._frames else []
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of versions that are out of date, which were asked for
                made = gymnasium.make_vec(
                    self._id, num_envs=count, vectorization_mode="sync", wrappers=wrappers, disable_env_checker=True,
                    **options,
                )  # fmt: skip
        except gymnasium.error.DependencyNotInstalled as error:
            if "mujoco" in str(error).lower():
                raise missing_package("mujoco", "rl") from None
            raise UserError(f"{self.name} needs a package that is missing: {one_line(error)}") from None
        except (gymnasium.error.Error, ImportError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{self.name} cannot be made: {one_line(error)}") from None
        self._several[count] = made
        return made


def _known(name: Any) -> str:
    """The id, if there is such an environment.

    Raises:
        UserError: without gymnasium, and for an id that it does not have, with the nearest one.
    """
    try:
        import gymnasium
    except ImportError:
        raise missing_package("gymnasium", "rl") from None
    if not isinstance(name, str):
        raise UserError(f"need environment.id as a text such as InvertedPendulum-v5, got {name!r:.100}")
    if name.startswith(ATARI):
        try:
            gymnasium.register_envs(import_module("ale_py"))
        except ImportError:
            raise UserError(
                "the package ale-py is missing: pip install ale-py opencv-python; its licence is the GPL"
            ) from None
    if name not in gymnasium.registry:  # nor module:name, which would import the module
        everyone = sorted(gymnasium.registry, reverse=True)  # the newest version first
        near = get_close_matches(name, everyone, n=1, cutoff=0.0)
        raise UserError(f"gymnasium has no environment {name!r:.100}: did you mean {near[0]!r}?")
    return name


def _grey(each: Any) -> Any:
    from gymnasium.wrappers import AtariPreprocessing

    return AtariPreprocessing(each, noop_max=30, frame_skip=4, screen_size=84, grayscale_obs=True)


def _stacked(each: Any, frames: int) -> Any:
    from gymnasium.wrappers import FrameStackObservation

    return FrameStackObservation(each, frames)
