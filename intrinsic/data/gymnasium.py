"""Episodes of the package gymnasium."""

from intrinsic.tasks.control import control
from intrinsic.tasks.gymnasium_environment import GymnasiumEnvironment
from intrinsic.tasks.task import Task


def gymnasium(*, id: str, episodes: int, horizon: int | None, frames: int) -> Task:  # noqa: A002 (its name there)
    """The task of a `GymnasiumEnvironment`: see `intrinsic.tasks.control`."""
    return control(GymnasiumEnvironment(id, horizon=horizon, frames=frames), episodes=episodes)
