"""The contract of a space: which numbers may move."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, Self

from torch import nn

from intrinsic.surgery.as_it_was import as_it_was


class Space(ABC):
    """Names the coordinates theta_D of a model, wiring itself into the model where it needs modules of its own.

    At the coordinates' initial values the model's output is exactly what it was.

    `constants` names the options that make another function of the same numbers.
    """

    constants: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Let what stops `wire`, an interrupt too, leave the model as it was."""
        super().__init_subclass__(**options)
        if "wire" in vars(cls):
            cls.wire = _whole(cls.wire)  # type: ignore[method-assign]

    @property
    def needs(self) -> tuple[str, ...]:
        """What a model must have for the space to fit it: "attention", "biases", "norms", "tokens"."""
        return ()

    @property
    def merges(self) -> bool:
        """Whether `merge` leaves a plain model, without modules of the space's own."""
        return True

    @property
    def settles(self) -> bool:
        """Whether `settle` may change anything."""
        return type(self).settle is not Space.settle

    def largest_rank(self, model: nn.Module) -> int | None:
        """The largest `rank` of the space for which a model, which it is wired into, has room; None: there is none."""
        return None

    @abstractmethod
    def wire(self, model: nn.Module, *, seed: int) -> dict[str, nn.Parameter]:
        """Change the model in place, if need be, and return its coordinates by name, each tied weight once.

        Raises:
            UserError: if the space does not fit the model, which is then as it was.
        """

    def unwire(self, model: nn.Module) -> None:
        """Undo `wire`: the model is as it was. Nothing to do where `wire` swaps no modules."""
        return

    def merge(self, model: nn.Module) -> None:
        """Fold the space's own modules into the model's weights; those that no weight can hold stay.

        Nothing to do where there are none that fold.
        """
        return

    def settle(self, model: nn.Module) -> Self:
        """Make plain numbers of what only helps training, and return the space of these: itself where nothing does."""
        return self


def _whole(wire: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(wire)
    def whole(self: Space, model: nn.Module, *, seed: int) -> Any:
        with as_it_was(model):
            return wire(self, model, seed=seed)

    return whole
