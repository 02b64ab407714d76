"""The way from a config node to the object it names: what its role may be, and nothing else."""

import inspect
from collections import abc
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial, wraps
from typing import Any, get_type_hints

from experiments.config.fits import fits
from experiments.config.roles import ROLES, Role, find
from intrinsic.errors import UserError

# how torch.optim refuses an argument
COMPLAINTS = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, AssertionError, RuntimeError)


def build(node: Any, role: str) -> Any:
    """Call what `_target_` names with the other keys, or bind them if the program gives the rest.

    `role` is the group in which the node stands, a key of `ROLES`; it says what may be named. Other values are plain,
    but for arguments that are things of a role themselves: a space made of spaces.
    Hydra's own `instantiate` would import and call anything; a config may come from a stranger.

    Raises:
        UserError: if the target is nothing of this role, has no such argument, or lacks one.
    """
    rule = ROLES[role]
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise UserError(f"need {role} as keys with a _target_ among them, got {role}={node}")
    target = node["_target_"]
    function = find(target, role)
    if node.get("_partial_", False) is not rule.partial:
        when = f"called later, with {', '.join((*rule.given, *rule.named))}" if rule.partial else "called at once"
        raise UserError(f"{target} is {when}: need _partial_={str(rule.partial).lower()}")
    signature = inspect.signature(function)
    arguments = {key: value for key, value in node.items() if key not in ("_target_", "_partial_")}
    _check_names(arguments, signature, rule, target)
    called = _translated(function) if rule.partial and function.__module__.startswith("torch.") else function
    bound = partial(called, **{key: _within(key, value, rule) for key, value in arguments.items()})
    try:
        signature.bind(*rule.given, **dict.fromkeys(rule.named), **arguments)
    except TypeError as error:
        raise UserError(f"{target} cannot be made of {', '.join(arguments) or 'nothing'}: {error}") from None
    return bound if rule.partial else bound()


def _check_names(arguments: Mapping[Any, Any], signature: inspect.Signature, rule: Role, target: str) -> None:
    """Refuse arguments that there are not, and those that the program gives."""
    own = {
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    } - {*list(signature.parameters)[: len(rule.given)], *rule.named}
    for name in arguments:
        if name not in own:
            near = get_close_matches(str(name), own, n=1, cutoff=0.0)
            raise UserError(f"{target} has no argument {name!r}: did you mean {near[0] if near else 'none'!r}?")


def _within(name: str, value: Any, rule: Role) -> Any:
    """An argument, with what its nodes make in their place where it may have any."""
    if name not in rule.parts:
        return _plain(name, value)
    if isinstance(value, Mapping):
        return {key: build(part, rule.parts[name]) for key, part in value.items()}
    return [build(part, rule.parts[name]) for part in value] if isinstance(value, list) else value


def _plain(name: str, value: Any) -> Any:
    """A value in which nothing is to be built."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            raise UserError(f"_target_={value['_target_']} is refused inside {name}: need a plain value")
        return {key: _plain(name, item) for key, item in value.items()}
    return [_plain(name, item) for item in value] if isinstance(value, list) else value


def _translated(function: Callable[..., Any]) -> Callable[..., Any]:
    """A class of torch, whose complaints about its arguments are about the user's config.

    What torch takes by mistake, such as true for a number, is looked for in its annotations.
    """

    @wraps(function, updated=())
    def call(*args: Any, **keywords: Any) -> Any:
        given = ", ".join(f"{name}={value!r}" for name, value in keywords.items())
        try:
            made = function(*args, **keywords)
        except COMPLAINTS as error:
            raise UserError(f"{function.__name__}({given}) is refused: {' '.join(str(error).split())}") from None
        hints = get_type_hints(function.__init__, localns=vars(abc))
        for name, value in keywords.items():
            if name in hints and not fits(value, hints[name]):
                need = str(hints[name]).removeprefix("<class '").removesuffix("'>")
                raise UserError(f"{function.__name__}({given}) is refused: need {name} as {need}, got {value!r}")
        return made

    return call
