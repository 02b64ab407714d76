"""Several spaces at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from torch import nn

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.spaces.base import Space


@dataclass(frozen=True)
class Union(Space):
    """The coordinates of all parts, one after the other; what two parts share appears once.

    Parts are wired in order, each into what the ones before it made, and unwired and merged in reverse. Put low-rank
    updates before adapters. LoRA with prefix: Hu et al. 2021, arXiv:2106.09685, table 15.

    Args:
        spaces: the parts, as a list, or by names of their own.

    Examples:
        >>> import torch, intrinsic
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.Linear(8, 2))
        >>> both = intrinsic.Union([intrinsic.LoRA(rank=2), intrinsic.BitFit()])
        >>> intrinsic.Subspace(model, space=both).dim  # 2 * (20 + 8) + 8 + 2
        66
    """

    spaces: Sequence[Space] | Mapping[str, Space]

    def __post_init__(self) -> None:
        known = isinstance(self.spaces, Mapping | Sequence) and not isinstance(self.spaces, str)
        if not known or not self.parts or not all(isinstance(space, Space) for space in self.parts):
            raise UserError(f"need spaces as a list of at least one space, or as spaces by name, got {self.spaces!r}")

    @property
    def parts(self) -> list[Space]:
        """The spaces in order."""
        return list(self.spaces.values() if isinstance(self.spaces, Mapping) else self.spaces)

    @property
    def needs(self) -> tuple[str, ...]:
        """What any part needs."""
        return tuple(dict.fromkeys(need for space in self.parts for need in space.needs))

    @property
    def settles(self) -> bool:
        """Whether any part does."""
        return any(space.settles for space in self.parts)

    @property
    def merges(self) -> bool:
        """Whether all parts do."""
        return all(space.merges for space in self.parts)

    def largest_rank(self, model: nn.Module) -> int | None:
        """The smallest of the parts'."""
        return min((most for space in self.parts if (most := space.largest_rank(model)) is not None), default=None)

    def wire(self, model: nn.Module, *, seed: int) -> dict[str, nn.Parameter]:
        """Wire every part; the names are those in the model that came out."""
        found: dict[int, nn.Parameter] = {}
        for index, space in enumerate(self.parts):
            coordinates = space.wire(model, seed=rng.fan_out(seed, index))
            found |= {id(parameter): parameter for parameter in coordinates.values()}
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        return {names[key]: parameter for key, parameter in found.items()}

    def unwire(self, model: nn.Module) -> None:
        """Unwire every part, the last one first."""
        for space in reversed(self.parts):
            space.unwire(model)

    def merge(self, model: nn.Module) -> None:
        """Merge every part, the last one first."""
        for space in reversed(self.parts):
            space.merge(model)

    def settle(self, model: nn.Module) -> Self:
        """Settle every part, the last one first."""
        settled = [space.settle(model) for space in reversed(self.parts)][::-1]
        if all(new is old for new, old in zip(settled, self.parts, strict=True)):
            return self
        return replace(
            self, spaces=dict(zip(self.spaces, settled, strict=True)) if isinstance(self.spaces, Mapping) else settled
        )
