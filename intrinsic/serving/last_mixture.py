"""The mixture that a bank keeps from call to call."""

from collections.abc import Callable, Sequence

from torch import nn

from intrinsic.serving.mixture import Mixture

Tree = Callable[[str | None], nn.Module]  # the model of a task, by its name


class LastMixture:
    """Which tasks of a bank can be computed together, and the mixture of those that last were.

    Args:
        base: the plain model.
    """

    def __init__(self, base: nn.Module) -> None:
        self._base = base
        self.forget()

    def forget(self) -> None:
        """Let go of what is kept."""
        self.names: list[str | None] = []
        self._mixture: Mixture | None = None
        self._fits: dict[str | None, bool] = {None: True}

    def takes(self, name: str | None, tree: Tree) -> bool:
        """Whether a task can be part of a mixture."""
        if name not in self._fits:
            self._fits[name] = Mixture.fits(self._base, tree(name))
        return self._fits[name]

    def of(self, names: Sequence[str | None], tree: Tree) -> Mixture:
        """The mixture of these tasks."""
        names = sorted(names, key=str)
        if self._mixture is None or self.names != names:
            self._mixture = Mixture(self._base, {name: tree(name) for name in names})
            self.names = names
        return self._mixture
