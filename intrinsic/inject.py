"""The one place that finds and swaps modules inside a model."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

from torch import nn

from intrinsic.errors import UserError

HEAD_NAMES = (
    "head",
    "classifier",
    "classification_head",
    "score",
    "lm_head",
    "fc",
)  # what public models call their last layer


def find_head(model: nn.Module) -> str:
    """The name of the module that maps features to outputs: a child with a usual name, else the last nn.Linear.

    Raises:
        UserError: if there is none.
    """
    children = dict(model.named_children())
    for name in HEAD_NAMES:
        if name in children:
            return name
    linear = [name for name, module in model.named_modules() if name and isinstance(module, nn.Linear)]
    if not linear:
        raise UserError(f"{type(model).__name__} has no head: need a child named {' or '.join(HEAD_NAMES)}")
    return linear[-1]


def under(name: str, module: str) -> bool:
    """Whether a parameter or module of this name is `module` or lies inside it."""
    return name == module or name.startswith(module + ".")


def head_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The head's parameters by the model's names for them; a tied one may have its name elsewhere."""
    inside = {id(parameter) for parameter in model.get_submodule(find_head(model)).parameters()}
    return {name: parameter for name, parameter in model.named_parameters() if id(parameter) in inside}


def place_head(
    model: nn.Module, coordinates: dict[str, nn.Parameter], mode: str | None
) -> tuple[dict[str, nn.Parameter], set[str]]:
    """The coordinates with the head put in or left out, and the names of what is trained beside them."""
    if mode is None:
        return coordinates, set()
    if mode not in ("project", "train", "freeze"):
        raise UserError(f"need head=project, train or freeze, got head={mode}")
    head = head_parameters(model)
    if mode == "project":
        return coordinates | head, set()
    rest = {name: p for name, p in coordinates.items() if name not in head}
    return rest, set(head) if mode == "train" else set()


def find_targets(
    model: nn.Module, targets: str | Sequence[str], kinds: tuple[type[nn.Module], ...]
) -> dict[str, nn.Module]:
    """Modules of the given kinds that `targets` names, in the model's order; a module with two names appears once.

    As PEFT reads it: a string is a regular expression for the full name, a list holds dotted suffixes, "all-linear" is
    every nn.Linear but the head.

    Raises:
        UserError: if the regular expression is invalid, or an entry matches no module of these kinds.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    eligible = {name: module for name, module in modules.items() if isinstance(module, kinds)}
    if targets == "all-linear":
        head = find_head(model)
        found = [name for name, m in eligible.items() if isinstance(m, nn.Linear) and not under(name, head)]
        patterns = {"all-linear": found}
    elif isinstance(targets, str):
        patterns = {targets: [name for name in eligible if _compile(targets).fullmatch(name)]}
    else:
        patterns = {
            suffix: [name for name in eligible if name == suffix or name.endswith("." + suffix)] for suffix in targets
        }
    for pattern, names in patterns.items():
        if not names:
            near = get_close_matches(pattern, eligible, n=1, cutoff=0.3) or list(eligible)[:1]
            known = f"did you mean {near[0]!r}?" if near else "the model has none"
            raise UserError(
                f"targets={pattern!r} matches no {' or '.join(k.__name__ for k in kinds)} of {type(model).__name__}: "
                + known
            )
    wanted = {name for names in patterns.values() for name in names}
    if not wanted:
        raise UserError("targets is empty: name at least one module, or use all-linear")
    return {name: module for name, module in eligible.items() if name in wanted}


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UserError(f"{pattern!r} is no regular expression: {error}") from None


def select_names(names: Sequence[str], pattern: str) -> list[str]:
    """The names that a regular expression matches in full.

    Raises:
        UserError: if it is invalid or matches none.
    """
    found = [name for name in names if _compile(pattern).fullmatch(name)]
    if not found:
        near = get_close_matches(pattern, names, n=1, cutoff=0.0) or ["none"]
        raise UserError(f"select={pattern!r} matches no parameter: the nearest name is {near[0]!r}")
    return found


def parameter_slots(model: nn.Module) -> dict[int, list[str]]:
    """By a parameter's id, a name for each place that holds it: several if it is tied.

    A module with two names counts once: `functional_call` would not put its parameters back.
    """
    slots: dict[int, list[str]] = {}
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            slots.setdefault(id(parameter), []).append(f"{prefix}.{name}".lstrip("."))
    return slots


def swap(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put `new` wherever `old` is a child, under every name it has."""
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):  # named_children would report an alias only once
            if child is old:
                setattr(parent, name, new)
