"""The one place that finds and swaps modules inside a model."""

from collections.abc import Callable, Collection, Sequence
from difflib import get_close_matches
from typing import Any

from torch import nn

from intrinsic.errors import UserError
from intrinsic.surgery.head import head_or_none, under
from intrinsic.surgery.patterns import compile_pattern
from intrinsic.surgery.wrapper import Wrapper


def find_targets(
    model: nn.Module,
    targets: str | Sequence[str],
    kinds: tuple[type[nn.Module], ...],
    parts: Callable[[str, nn.Module], Sequence[str]] = lambda name, module: (),
) -> dict[str, nn.Module]:
    """Places that `targets` names, in the model's order: modules of the given kinds, each once, and parts of modules.

    As PEFT reads it: a string is a regular expression for the full name, a list holds dotted suffixes, "all-linear" is
    every nn.Linear and every Conv1D of transformers, but the head. `parts(name, module)` tells which parts of a module
    are places of their own, called `<name>.<part>`, and given with the module. What matches a whole and its parts
    means the whole.

    Raises:
        UserError: if the regular expression is invalid, an entry matches nothing, or one names a part of what another
            names.
    """
    places: dict[str, nn.Module] = {}
    named = layer_names(model)
    for module in model.modules():
        name = named[id(module)]
        if name and isinstance(module, kinds):
            places.setdefault(name, module)  # of a wrapper and what is in it: the wrapper
        places |= {f"{name}.{part}": module for part in (parts(name, module) if name else ())}
    if targets == "all-linear":
        modules, head = dict(model.named_modules()), head_or_none(model)
        linear = [name for name, module in places.items() if name in modules and _is_linear(module)]
        patterns = {"all-linear": [name for name in linear if head is None or not under(name, head)]}
    elif isinstance(targets, str):
        patterns = {targets: [name for name in places if compile_pattern(targets).fullmatch(name)]}
    else:
        patterns = {suffix: [name for name in places if ("." + name).endswith("." + suffix)] for suffix in targets}
    for pattern, names in patterns.items():
        if not names:
            near = get_close_matches(pattern, places, n=1, cutoff=0.3) or list(places)[:1]
            known = f"did you mean {near[0]!r}?" if near else "the model has none"
            if targets == "all-linear":
                raise UserError(f"{type(model).__name__} has no linear layer but its head: {_convolutions(places)}")
            raise UserError(
                f"targets={pattern!r} matches no {' or '.join(k.__name__ for k in kinds)} of {type(model).__name__}: "
                + known
            )
    wanted = {name for names in patterns.values() for name in _wholes(names)}
    if not wanted:
        raise UserError("targets is empty: name at least one module, or use all-linear")
    if both := wanted - _wholes(wanted):
        raise UserError(f"targets names {min(both)!r} and a whole that it is a part of: choose one of them")
    return {name: module for name, module in places.items() if name in wanted}


def check_targets(targets: Any) -> None:
    """Check that targets are a text or a list of texts.

    Raises:
        UserError: if not.
    """
    suffixes = [targets] if isinstance(targets, str) else targets
    if not isinstance(suffixes, Sequence) or not all(isinstance(suffix, str) for suffix in suffixes):
        raise UserError(f"need targets as a name or a list of names, or all-linear, got targets={targets}")


def layer_names(model: nn.Module) -> dict[int, str]:
    """Names by a module's id; a layer inside of a wrapper that is seen through, such as LoRA's, has the wrapper's."""
    modules, names = dict(model.named_modules()), dict[int, str]()
    for name, module in modules.items():
        outer = name
        while isinstance(found := modules.get(outer.removesuffix(".base")), Wrapper) and outer.endswith(".base"):
            if not found.is_see_through:
                break
            outer = outer.removesuffix(".base")
        names[id(module)] = outer
    return names


def _convolutions(places: dict[str, nn.Module]) -> str:
    """What a network without linear layers but its head can do instead."""
    found = {name: module.groups == 1 for name, module in places.items() if isinstance(module, nn.Conv2d)}
    ends = [name.rpartition(".")[2] for name in found]
    whole = [end for end in ends if all(fits for name, fits in found.items() if ("." + name).endswith("." + end))]
    named = [end for end in whole if not end.isdigit()] or [name for name, fits in found.items() if fits]
    if not named:
        return "use space=norms, bitfit or full"
    most = max(named, key=ends.count)
    return f"name convolutions, as with targets=[{most!r}], or use space=norms"


def _wholes(names: Collection[str]) -> set[str]:
    known = set(names)
    return {name for name in known if not any(name[:dot] in known for dot, sign in enumerate(name) if sign == ".")}


def _is_linear(module: nn.Module) -> bool:
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(module).__mro__}
    return isinstance(module, nn.Linear) or "transformers.pytorch_utils.Conv1D" in kinds  # not imported for its name


def select_names(names: Sequence[str], pattern: str) -> list[str]:
    """The names that a regular expression matches in full.

    Raises:
        UserError: if it is invalid or matches none.
    """
    found = [name for name in names if compile_pattern(pattern).fullmatch(name)]
    if not found:
        near = get_close_matches(pattern, names, n=1, cutoff=0.0) or ["none"]
        raise UserError(f"select={pattern!r} matches no parameter: the nearest name is {near[0]!r}")
    return found
