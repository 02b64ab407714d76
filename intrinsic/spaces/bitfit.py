"""The biases alone."""

import re
from dataclasses import dataclass

from torch import nn

from intrinsic.errors import UserError
from intrinsic.spaces.base import Space


@dataclass(frozen=True)
class BitFit(Space):
    """Every parameter called `bias`, `bias_...` or `..._bias`: normalisation, attention and recurrent layers' included.

    Source: Ben Zaken et al. 2021, arXiv:2106.10199.

    Examples:
        >>> import torch, intrinsic
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.BatchNorm1d(8))
        >>> intrinsic.Subspace(model, space=intrinsic.BitFit()).coordinate_names
        ['0.bias', '1.bias']
    """

    needs = ("biases",)

    def wire(self, model: nn.Module, *, seed: int) -> dict[str, nn.Parameter]:
        """The biases, in the model's order."""
        found = {name: p for name, p in model.named_parameters() if re.search(r"(^|[._])bias(_[^.]*)?$", name)}
        if not found:
            raise UserError(f"space bitfit needs biases, {type(model).__name__} has none: use space=norms or lora")
        return found
