"""How wide a launcher is."""

from hydra.plugins.launcher import Launcher

from hydra_plugins._parallel_launcher import ParallelLauncher


def width(launcher: Launcher) -> int:
    """How many jobs the launcher runs at once: a sweeper that awaits results does best with batches of so many.

    1 for Hydra's basic launcher, and for launchers that are not this project's. A job is one run, or several where
    `replicas` lets them be one.
    """
    return launcher.width if isinstance(launcher, ParallelLauncher) else 1
