"""All weights, or those that a pattern selects."""

from dataclasses import dataclass

from torch import nn

from intrinsic.errors import UserError
from intrinsic.inject import select_names
from intrinsic.spaces.base import Space


@dataclass(frozen=True)
class Full(Space):
    """Every floating-point parameter of the model: biases, normalisation, and what was frozen before, included.

    Args:
        select: a regular expression; only parameters whose full name it matches. None: all.
    """

    select: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.select, str | None):
            raise UserError(f"need select as a regular expression or null, got select={self.select}")

    def wire(self, model: nn.Module, *, seed: int) -> dict[str, nn.Parameter]:
        """The selected parameters, in the model's order."""
        parameters = {name: p for name, p in model.named_parameters() if p.is_floating_point()}
        names = list(parameters) if self.select is None else select_names(list(parameters), self.select)
        return {name: parameters[name] for name in names}
