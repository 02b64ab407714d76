"""Counts of trainable parameters, and of all that may move."""

from typing import TYPE_CHECKING

from intrinsic.errors import UserError
from intrinsic.surgery.head import head_parameters

if TYPE_CHECKING:
    from intrinsic.subspace.subspace import Subspace


def count(net: "Subspace") -> dict[str, int]:
    """Trained in all, dim of the space, full_dim, and the head's, which are trained as they are."""
    try:
        head = head_parameters(net.model)
    except UserError:
        head = {}
    trained = list(net.named_parameters())
    return {
        "trained": sum(p.numel() for _, p in trained),
        "dim": int(net.dim),
        "full_dim": net.full_dim,
        "head": sum(p.numel() for name, p in trained if name.removeprefix("model.") in head),
    }
