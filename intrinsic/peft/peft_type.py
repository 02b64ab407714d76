"""What one of PEFT's types of adapters must say of itself; `intrinsic.peft.types` has a file for each, named alike."""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, ClassVar

from torch import Tensor, nn

from intrinsic.projections.base import Projection
from intrinsic.spaces.base import Space
from intrinsic.subspace import Subspace


@dataclass(frozen=True)
class Adapter:
    """What was read.

    Attributes:
        space: what makes the places of the numbers.
        numbers: of each coordinate, in the order in which `space.wire` has them; z alone with a projection.
        rest: the other tensors, by their names in the model.
        projection: of the space; None: its numbers are trained as they are.
    """

    space: Space
    numbers: list[Tensor]
    rest: dict[str, Tensor]
    projection: Callable[..., Projection] | None = None


class PeftType(ABC):
    """How adapters of one `peft_type` are read."""

    knobs: ClassVar[frozenset[str]]  # of its configuration, what is read or says nothing about the function
    needed: ClassVar[tuple[str, ...]] = ()  # without which nothing can be read

    @abstractmethod
    def read(
        self, model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: object
    ) -> Adapter:
        """What the files hold, for this model.

        Raises:
            UserError: if they do not fit it.
        """


class WrittenPeftType(PeftType):
    """A type of which adapters are written, too."""

    @abstractmethod
    def writes(self, net: Subspace) -> bool:
        """Whether its format holds what the net trains."""

    @abstractmethod
    def write(self, net: Subspace, head: str | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors, with the weights at z in their places, and adapter_config.json.

        Raises:
            UserError: for what the format cannot hold.
        """


@cache
def peft_types() -> dict[str, PeftType]:
    """PEFT's types that are known here, by name."""
    package = import_module("intrinsic.peft.types")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    modules = {name: import_module(f"{package.__name__}.{name}") for name in names}
    return {name.upper(): module.TYPE for name, module in modules.items()}
