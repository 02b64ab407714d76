"""From a config node to the object it names: our code and torch.optim's only."""

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from typing import Any

from intrinsic.errors import UserError

ALLOWED = ("intrinsic", "experiments", "torch.optim")
COMPLAINTS = (TypeError, ValueError, IndexError, ZeroDivisionError)  # how torch.optim refuses an argument


def build(node: Mapping[str, Any]) -> Any:
    """Call what `_target_` names with the other keys, or bind them if `_partial_` is true.

    An argument may hold such nodes itself, in lists and mappings: a space made of spaces. Only our own code there.
    Hydra's own `instantiate` would import and call anything; a config may come from a stranger.

    Raises:
        UserError: if the target lies outside `ALLOWED`, does not exist, or has no such argument.
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise UserError(f"need keys with a _target_ among them, got {node}")
    function = _find(str(node["_target_"]))
    arguments = {key: _within(value) for key, value in node.items() if key not in ("_target_", "_partial_")}
    signature = inspect.signature(function)
    for name in arguments:
        if name not in signature.parameters:
            near = get_close_matches(name, signature.parameters, n=1, cutoff=0.0)
            raise UserError(
                f"{node['_target_']} has no argument {name!r}: did you mean {near[0] if near else 'none'!r}?"
            )
    bound = partial(function, **arguments)
    if not node.get("_partial_", False):
        try:
            signature.bind(**arguments)
        except TypeError as error:
            raise UserError(f"{node['_target_']} cannot be called yet ({error}): need _partial_=true") from None
        return bound()
    return partial(_translated, bound) if function.__module__.startswith("torch.") else bound


def _within(value: Any) -> Any:
    """An argument with what its nodes name in their place."""
    if isinstance(value, Mapping) and "_target_" in value:
        if not str(value["_target_"]).startswith("intrinsic."):
            raise UserError(f"_target_={value['_target_']} is refused inside an argument: need a name in intrinsic")
        return build(value)
    if isinstance(value, Mapping):
        return {key: _within(item) for key, item in value.items()}
    return [_within(item) for item in value] if isinstance(value, list) else value


def _translated(bound: partial[Any], *args: Any) -> Any:
    """Call what is torch's, whose complaints about its arguments are about the user's config."""
    try:
        return bound(*args)
    except COMPLAINTS as error:
        given = ", ".join(f"{name}={value!r}" for name, value in bound.keywords.items())
        raise UserError(f"{bound.func.__name__}({given}) is refused: {error}") from None


def _find(target: str) -> Callable[..., Any]:
    module_name, _, name = target.rpartition(".")
    if not _allowed(module_name):
        raise UserError(f"_target_={target} is refused: need a name in {', '.join(ALLOWED)}")
    try:
        module = import_module(module_name)
    except ImportError:
        raise UserError(f"_target_={target}: there is no module {module_name}") from None
    found = getattr(module, name, None)
    if not callable(found) or not _allowed(getattr(found, "__module__", None) or ""):
        own = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module_name]
        near = get_close_matches(name, own, n=1, cutoff=0.0)
        raise UserError(f"_target_={target} is refused: {module_name} defines {', '.join(near) or 'nothing to call'}")
    return found


def _allowed(module: str) -> bool:
    return any(module == root or module.startswith(root + ".") for root in ALLOWED)
