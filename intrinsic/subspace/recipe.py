"""The recipe of a Subspace as plain values, and a Subspace from it."""

import dataclasses
import pkgutil
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from intrinsic.errors import UserError
from intrinsic.own_packages import how_to_allow, is_allowed, own_part, part_name
from intrinsic.projections.base import Projection
from intrinsic.public import HOME, public
from intrinsic.spaces.base import Space
from intrinsic.subspace import Subspace
from intrinsic.subspace.redrawn import Redrawn


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{what} should be a mapping, not {value!r:.50}")
    return value


def recipe(net: Subspace) -> dict[str, Any]:
    """How a net was made, as JSON can hold it. Parts of other packages have their full names."""
    make = net.make_projection
    options = dict(make.keywords) if isinstance(make, partial) else {}
    return {
        **_describe(net.space),
        "projection": _name(getattr(make, "func", make)),
        "projection_options": options,
        "dim": net.dim,
        "granularity": net.granularity,
        "scales": net.scales,
        "head": net.head,
        "seed": net.seed,
        **({} if net.projection_seed == net.seed else {"projection_seed": net.projection_seed}),
        **({"redraw": net.every, "redraw_optimizer": net.optimizer} if isinstance(net, Redrawn) else {}),
    }


def _describe(value: Any) -> Any:
    """A space as its name and options, which may hold spaces in lists and mappings; any other value as it is."""
    if isinstance(value, Space):
        fields: Sequence[Any] = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        options = {field.name: _describe(getattr(value, field.name)) for field in fields}
        return {"space": part_name(type(value)), "space_options": options}
    if isinstance(value, Mapping):
        return {key: _describe(item) for key, item in value.items()}
    return [_describe(item) for item in value] if isinstance(value, list | tuple) else value


def _name(make: Any) -> str:
    return part_name(make) if isinstance(make, type) else str(make.__name__)


def _added(name: Any, package: str) -> Any:
    """A class of the package that is no public name, in the file that bears its name; None if there is none."""
    for module in pkgutil.iter_modules(import_module(package).__path__):
        if module.name.replace("_", "") == str(name).lower():
            return getattr(import_module(f"{package}.{module.name}"), str(name), None)
    return None


def from_recipe(model: nn.Module, recipe: Any) -> Subspace:
    """A fresh net from a recipe, whose names are looked up among the spaces and projections of the library only.

    Full names are looked up in the packages that the user allows (see `intrinsic.own_packages`).

    Raises:
        UserError: if the recipe does not fit the model, which is then as it was, or names what is not allowed.
        KeyError, TypeError, ValueError, OverflowError, MemoryError: for what is no recipe.
    """

    def named(name: Any, key: str, base: type) -> Any:
        if isinstance(name, str) and is_allowed(name.rpartition(".")[0]):
            found = own_part(name)
        else:
            found = public(name) if name in HOME else _added(name, base.__module__.rpartition(".")[0])
        if not (isinstance(found, type) and issubclass(found, base)):
            remedy = f"make the Subspace yourself and load into it{how_to_allow(str(name))}"
            raise UserError(f"{name} is not a {key} of this library: {remedy}")
        return found

    def read(value: Any) -> Any:
        if isinstance(value, dict) and value.keys() == {"space", "space_options"}:
            options = {name: read(option) for name, option in _mapping(value["space_options"], "options").items()}
            return named(value["space"], "space", Space)(**options)
        if isinstance(value, dict):
            return {name: read(item) for name, item in value.items()}
        return [read(item) for item in value] if isinstance(value, list) else value

    recipe = _mapping(recipe, "the recipe")
    options = _mapping(recipe["projection_options"], "options")
    redrawn = {"every": recipe["redraw"], "optimizer": recipe["redraw_optimizer"]} if "redraw" in recipe else {}
    return (Redrawn if redrawn else Subspace)(
        model,
        space=read({key: recipe[key] for key in ("space", "space_options")}),
        projection=partial(named(recipe["projection"], "projection", Projection), **options),
        **{key: recipe[key] for key in ("dim", "granularity", "scales", "head", "seed")},
        projection_seed=recipe.get("projection_seed"),  # absent: the same
        **redrawn,
    )
