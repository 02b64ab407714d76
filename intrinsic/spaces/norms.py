"""The scales and shifts of normalisation alone."""

from dataclasses import dataclass

from torch import nn

from intrinsic.errors import UserError
from intrinsic.spaces.base import Space
from intrinsic.surgery.normalisation import normalisation_layers


@dataclass(frozen=True)
class Norms(Space):
    """Every scale and shift of a normalisation: of batches, layers, groups, instances, root mean squares.

    Layers that are not torch's are known by what they do, see `intrinsic.surgery.normalisation`. With the head:
    method=film. Source: Lotfi et al. 2022, arXiv:2211.13609; alone: Frankle, Schwab, Morcos 2020,
    arXiv:2003.00152.

    Examples:
        >>> import torch, intrinsic
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 2))
        >>> intrinsic.Subspace(model, space=intrinsic.Norms()).coordinate_names
        ['1.weight', '1.bias']
    """

    needs = ("norms",)

    def wire(self, model: nn.Module, *, seed: int) -> dict[str, nn.Parameter]:
        """The scales and shifts, in the model's order."""
        inside = {id(p) for _, layer in normalisation_layers(model) for p in layer.parameters(recurse=False)}
        found = {name: parameter for name, parameter in model.named_parameters() if id(parameter) in inside}
        if not found:
            raise UserError(
                f"space norms needs layers that normalise, {type(model).__name__} has none: use space=bitfit or lora"
            )
        return found
