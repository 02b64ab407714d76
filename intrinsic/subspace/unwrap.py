"""The end of a net: its model as it was before, or with what was trained in its place."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from intrinsic.subspace.alone import alive
from intrinsic.surgery.wrapper import Wrapper

if TYPE_CHECKING:
    from intrinsic.subspace.subspace import Subspace


def unwrap(net: "Subspace", *, keep: bool) -> nn.Module:
    """See `Subspace.unwrap`."""
    if keep:
        _settle(net)
    else:
        net.space.unwire(net.model)
    for name, parameter in net.model.named_parameters():
        parameter.requires_grad_(not keep and net.flags.get(name, parameter.requires_grad))
    alive.pop(net, None)
    return net.model


@torch.no_grad()
def _settle(net: "Subspace") -> None:
    """Write theta_0 + P z into the model, and mark the layers that the space has put into it."""
    if not net.identity:
        weights = {name: weight.clone() for name, weight in net.weights().items()}
        for name, weight in weights.items():
            net.model.get_parameter(name).copy_(weight)
    for module in net.model.modules():
        if isinstance(module, Wrapper):
            module.kept = True
