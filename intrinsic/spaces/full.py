"""All weights, or those that a pattern selects."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from intrinsic.errors import UserError
from intrinsic.spaces.base import Space
from intrinsic.surgery.targets import check_targets, find_targets, select_names


@dataclass(frozen=True)
class Full(Space):
    """Every floating-point parameter of the model: biases, normalisation, and what was frozen before, included.

    Args:
        targets: as in `LoRA`: only the weights of these layers, not their biases. None: all.
        select: a regular expression; only parameters whose full name it matches. None: all. Complex ones are refused.
        embeddings: with the tables of nn.Embedding (words, positions, T5's relative biases). False: without them and
            what is tied to them, such as a language model's output layer.

    Examples:
        >>> import torch, intrinsic
        >>> space = intrinsic.Full(select=r".*weight")  # no biases
        >>> intrinsic.Subspace(torch.nn.Linear(20, 5), space=space).dim
        100
    """

    targets: str | Sequence[str] | None = None
    select: str | None = None
    embeddings: bool = True

    def __post_init__(self) -> None:
        if self.targets is not None:
            check_targets(self.targets)
        if not isinstance(self.select, str | None):
            raise UserError(f"need select as a regular expression or null, got select={self.select}")
        if not isinstance(self.embeddings, bool):
            raise UserError(f"need embeddings to be true or false, got embeddings={self.embeddings}")

    def wire(self, model: nn.Module, *, seed: int) -> dict[str, nn.Parameter]:
        """The selected parameters, in the model's order."""
        tables = () if self.embeddings else [m for m in model.modules() if isinstance(m, nn.Embedding)]
        left_out = {id(parameter) for table in tables for parameter in table.parameters()}
        parameters = {
            name: p
            for name, p in model.named_parameters()
            if (p.is_floating_point() or p.is_complex()) and id(p) not in left_out
        }
        if not parameters:
            raise UserError(f"{type(model).__name__} has no weights but its embeddings: use space.embeddings=true")
        if self.targets is not None:
            layers = find_targets(model, self.targets, (nn.Module,))
            weights = {name: getattr(layer, "weight", None) for name, layer in layers.items()}
            for name, weight in weights.items():
                if not isinstance(weight, nn.Parameter) or not (weight.is_floating_point() or weight.is_complex()):
                    raise UserError(f"targets names {name}, which has no weight of its own: leave it out")
            chosen = {id(weight) for weight in weights.values()}
            parameters = {name: p for name, p in parameters.items() if id(p) in chosen}
        names = list(parameters) if self.select is None else select_names(list(parameters), self.select)
        for name in names:
            if parameters[name].is_complex():
                raise UserError(
                    f"space full needs real numbers, {name} is complex: leave it out by select, or hold it in a real "
                    "parameter (torch.view_as_real)"
                )
        return {name: parameters[name] for name in names}
