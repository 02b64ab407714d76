"""All weights, or those that a pattern selects."""

from dataclasses import dataclass

from torch import nn

from intrinsic.errors import UserError
from intrinsic.inject import select_names
from intrinsic.spaces.base import Space


@dataclass(frozen=True)
class Full(Space):
    """Every parameter of the model, biases and normalisation included.

    Args:
        select: a regular expression; only parameters whose full name it matches. None: all.
    """

    select: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.select, str | None):
            raise UserError(f"need select as a regular expression or null, got select={self.select}")

    def wire(self, model: nn.Module, *, seed: int) -> dict[str, nn.Parameter]:
        """The selected parameters, in the model's order."""
        parameters = dict(model.named_parameters())
        names = list(parameters) if self.select is None else select_names(list(parameters), self.select)
        return {name: parameters[name] for name in names}
