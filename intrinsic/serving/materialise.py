"""A trained task as a model of its own over the base's tensors."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from intrinsic.subspace import Subspace
from intrinsic.surgery.torch_internals import own_modules
from intrinsic.surgery.tree import twin


def materialise(net: Subspace, *, keep: bool) -> nn.Module:
    """The model of a task, with theta_0 + P z in its places; `keep` as for `projected`."""
    if net.identity:
        return net.model
    with projected(net, keep=keep), torch.no_grad():
        weights = net.weights()
    net.forget()
    return twin(net.model, weights)


@contextmanager
def projected(net: Subspace, *, keep: bool) -> Iterator[None]:
    """While a net has its P, drawn anew if it has none; afterwards it has none again, but to `keep`."""
    if net.projection is None:
        own_modules(net)["projection"] = net.draw().to(net.z.device)
    try:
        yield
    finally:
        if not keep:
            own_modules(net)["projection"] = None
