"""A net without what only helped to train it."""

import torch

from intrinsic.projections.identity import Identity
from intrinsic.subspace import Subspace
from intrinsic.surgery.tree import copy_model


def without_reparametrisation(net: Subspace) -> Subspace:
    """A net of the same function whose space has settled, such as a prefix without its network; `net` if it has.

    With another projection than the identity nothing settles: there z says less than the numbers that it moves.
    """
    if not isinstance(net.projection, Identity) or not net.space.settles:
        return net
    model = copy_model(net.model)
    space = net.space.settle(model)
    if space is net.space:
        return net
    numbers = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for part in (net.space, space):
        part.unwire(model)
    plain = Subspace(model, space=space, projection=net.make_projection, head=net.head, seed=net.seed).train(
        net.training
    )
    with torch.no_grad():
        for name, parameter in plain.model.named_parameters():
            parameter.copy_(numbers[name])
    return plain
