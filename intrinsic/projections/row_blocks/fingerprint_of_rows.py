"""The fingerprint of a P of which nobody has all rows."""

from collections.abc import Callable, Mapping, Sequence

from intrinsic.projections.base import Projection
from intrinsic.projections.digest import Digest
from intrinsic.projections.row_blocks.row_block import InParts


def of_tensors(kind: type[Projection], dim: int, full_dim: int, tensors: Mapping[str, InParts]) -> str:
    """What `kind(dim, full_dim, ...).fingerprint()` is, by its tensors in parts."""
    digest = Digest(kind.stable_name, dim, full_dim)
    for name in sorted(tensors):
        digest.add_parts(name, *tensors[name])
    return str(digest)


def of_parts(
    kind: type[Projection], dim: int, full_dim: int, makes: Sequence[Callable[[], Projection]], *, bits: bool
) -> str:
    """What `kind(make, dim, sizes, ...).fingerprint(bits=bits)` is; each matrix is drawn, and let go of."""
    digest = Digest(kind.stable_name, dim, full_dim)
    drawn: dict[int, list[tuple[str, str]]] = {}
    for k in sorted(range(len(makes)), key=str):  # as their names are sorted
        part = makes[k]()
        for name, tensor in part.all_fixed_tensors():
            digest.add(f"parts.{k}.{name}", tensor)
        drawn[k] = [(name, found.fingerprint()) for name, found in part.drawn_parts(f"parts.{k}")] if bits else []
    for k in range(len(makes)):
        for name, found in drawn[k]:
            digest.add_drawn(name, found)
    return str(digest)
