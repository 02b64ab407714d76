"""The one place that finds and swaps modules inside a model."""

from collections.abc import Callable, Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from torch import nn

from intrinsic.errors import UserError
from intrinsic.patterns import compiled
from intrinsic.wrapper import Wrapper

HEAD_NAMES = (
    "head",
    "classifier",
    "score",
    "classification_head",
    "lm_head",
    "fc",
)  # what public models call their last layer


def find_head(model: nn.Module) -> str:
    """The name of the module that maps features to outputs.

    The output embedding of a language model of transformers, else a child with a usual name, else the last nn.Linear.

    Raises:
        UserError: if there is none.
    """
    embedding = getattr(model, "get_output_embeddings", lambda: None)()
    if embedding is not None:
        return next(name for name, module in model.named_modules() if module is embedding)
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
    for name, module in model.named_modules():
        if name and isinstance(module, kinds):
            places[name] = module
        places |= {f"{name}.{part}": module for part in (parts(name, module) if name else ())}
    if targets == "all-linear":
        modules, head = dict(model.named_modules()), _head_or_none(model)
        linear = [name for name, module in places.items() if name in modules and _is_linear(module)]
        patterns = {"all-linear": [name for name in linear if head is None or not under(name, head)]}
    elif isinstance(targets, str):
        patterns = {targets: [name for name in places if compiled(targets).fullmatch(name)]}
    else:
        patterns = {suffix: [name for name in places if ("." + name).endswith("." + suffix)] for suffix in targets}
    for pattern, names in patterns.items():
        if not names:
            near = get_close_matches(pattern, places, n=1, cutoff=0.3) or list(places)[:1]
            known = f"did you mean {near[0]!r}?" if near else "the model has none"
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


def _wholes(names: Collection[str]) -> set[str]:
    known = set(names)
    return {name for name in known if not any(name[:dot] in known for dot, sign in enumerate(name) if sign == ".")}


def _is_linear(module: nn.Module) -> bool:
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(module).__mro__}
    return isinstance(module, nn.Linear) or "transformers.pytorch_utils.Conv1D" in kinds  # not imported for its name


def _head_or_none(model: nn.Module) -> str | None:
    try:
        return find_head(model)
    except UserError:
        return None  # a backbone alone


def select_names(names: Sequence[str], pattern: str) -> list[str]:
    """The names that a regular expression matches in full.

    Raises:
        UserError: if it is invalid or matches none.
    """
    found = [name for name in names if compiled(pattern).fullmatch(name)]
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
    """Put `new` wherever `old` is a child, under every name it has, and where a module keeps it in a list, say.

    What hangs on a module goes from a layer to the wrapper in its place, and back (see `Wrapper`).

    Raises:
        UserError: if it cannot go back; nothing is swapped then.
    """
    if isinstance(old, Wrapper) and old.base is new:
        old.release()
    for parent in list(model.modules()):
        for name, value in list(vars(parent).items()):  # `_modules` among them: named_children leaves aliases out
            if value is old:
                vars(parent)[name] = new
            elif isinstance(value, dict | list):
                for key in [key for key, item in _items(value) if item is old]:
                    value[key] = new
            elif type(value) is tuple and any(item is old for item in value):
                vars(parent)[name] = tuple(new if item is old else item for item in value)
    if isinstance(new, Wrapper) and new.base is old:
        new.take_over()


def _items(value: dict[Any, Any] | list[Any]) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def unwrap(model: nn.Module, kind: type[Wrapper]) -> None:
    """Put the bases of all wrappers of a kind back.

    Raises:
        UserError: if one cannot go; none has gone then.
    """
    wrappers = [module for module in model.modules() if isinstance(module, kind)]
    for wrapper in wrappers:
        wrapper.check_release()
    for wrapper in wrappers:
        swap(model, wrapper, wrapper.base)
