"""A check whether a file's parameters mean in a net what they meant in the one that was saved."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from intrinsic.errors import UserError
from intrinsic.own_packages import part_name
from intrinsic.spaces.base import Space
from intrinsic.subspace import Subspace


def check_fit(net: Subspace, metadata: Mapping[str, Any], path: str | Path) -> None:
    """Compare the fingerprint in a file's metadata with the net's.

    That of older files knows of no rows of P that are zero: the net has none then, too. That of still older ones takes
    P's seed for its bits (see `Projection.fingerprint`), or leaves out what the space's modules compute: there the
    options in the recipe that say it, such as alpha, are compared with those of the net's space.

    Raises:
        UserError: if the numbers mean another function here.
    """
    if "fingerprint" not in metadata:
        raise UserError(f"{path} was not written by intrinsic.save")
    found, stored = net.fingerprint(), metadata["fingerprint"]
    if stored == found:
        return
    if stored != net.fingerprint(bits=False):
        for name, theirs, own in _differences(net.space, metadata.get("recipe")):
            raise UserError(
                f"{path} was trained with {name}={theirs!r:.50}, and here is {name}={own!r:.50}: make the net with the "
                "file's, or load it around the plain model"
            )
        if stored != net.fingerprint(constants=False, bits=False):
            raise UserError(f"{path} belongs to another model or seed: its fingerprint is {stored}, here it is {found}")
    net.zero_rows.clear()


def _differences(space: Space, recipe: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, value in the recipe and own value of the options that differ, of the spaces inside a space too."""
    options = recipe.get("space_options") if isinstance(recipe, Mapping) else None
    names = (part_name(type(space)), type(space).__name__)  # the latter in older files
    if not isinstance(options, Mapping) or recipe.get("space") not in names:
        return
    for name in space.constants:
        own = getattr(space, name)
        theirs = options.get(name, getattr(type(space), name, None))  # an option that older versions had not
        if (theirs or None) != ((dict(own) if isinstance(own, Mapping) else own) or None):
            yield name, theirs, own
    inside = options.get("spaces", ())
    parts = list(inside.values()) if isinstance(inside, Mapping) else inside
    for part, described in zip(getattr(space, "parts", ()), parts if isinstance(parts, list) else (), strict=False):
        yield from _differences(part, described)
