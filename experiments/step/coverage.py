"""The modules of a model by what a net trains of them."""

import re
from dataclasses import dataclass
from typing import Literal

from torch import nn

from intrinsic.subspace import Subspace
from intrinsic.surgery.wrapper import Wrapper

State = Literal["moves", "trained", "frozen", "tied"]


@dataclass(frozen=True)
class Part:
    """A parameter of a module."""

    name: str
    shape: tuple[int, ...]
    state: State


@dataclass(frozen=True)
class ModuleGroup:
    """Modules that are alike but for numbers in their names.

    Args:
        pattern: their name, `*` for a number in which they differ.
        kind: the class; of a wrapped layer, the layer's.
        times: how many there are.
        parts: what each has.
        numbers: how many of each state there are in all of them; what is tied counts where it stands first.
    """

    pattern: str
    kind: str
    times: int
    parts: tuple[Part, ...]
    numbers: dict[State, int]

    @property
    def targeted(self) -> bool:
        """Whether anything of them is trained."""
        return self.numbers["moves"] + self.numbers["trained"] > 0


def coverage(net: Subspace) -> list[ModuleGroup]:
    """Every module that has parameters of its own, in the model's order, those that are alike as one.

    A parameter `moves` if it is of theta, `trained` if it is trained beside it (a head), else it is `frozen`; `tied` is
    what stands in another place before. The factors and adapters that a space adds belong to the layer they are for.
    """
    moving = set(net.coordinate_names)
    names = {id(p): name for name, p in net.model.named_parameters()}
    modules: dict[str, list[tuple[Part, int]]] = {}
    kinds: dict[str, str] = {}
    seen: set[int] = set()
    for path, module in net.model.named_modules(remove_duplicate=False):
        owner = _layer(net.model, path)
        kinds[owner] = type(module).__name__  # the layer comes after its wrapper
        for last, p in module.named_parameters(recurse=False):
            name, tied = names[id(p)], id(p) in seen
            seen.add(id(p))
            state: State = "moves" if name in moving else "trained" if name in net.trained_names else "frozen"
            part = Part(last, tuple(p.shape), "tied" if tied else state)
            modules.setdefault(owner, []).append((part, p.numel()))
    groups: dict[tuple[str, str, tuple[Part, ...]], list[str]] = {}
    for owner, found in modules.items():
        pattern = re.sub(r"(?<![^.])\d+(?![^.])", "*", owner)
        groups.setdefault((pattern, kinds[owner], tuple(part for part, _ in found)), []).append(owner)
    return [_group(*key, owners, modules) for key, owners in groups.items()]


def _group(
    pattern: str, kind: str, parts: tuple[Part, ...], owners: list[str], modules: dict[str, list[tuple[Part, int]]]
) -> ModuleGroup:
    numbers: dict[State, int] = dict.fromkeys(("moves", "trained", "frozen", "tied"), 0)
    for part, count in (pair for owner in owners for pair in modules[owner]):
        numbers[part.state] += count
    name = pattern if len(owners) > 1 else owners[0]
    return ModuleGroup(name or "(the model itself)", kind, len(owners), parts, numbers)


def _layer(model: nn.Module, path: str) -> str:
    """The path of the outermost wrapper around a layer, which stands where the layer was."""
    parent, _, last = path.rpartition(".")
    if last == "base" and isinstance(model.get_submodule(parent), Wrapper):
        return _layer(model, parent)
    return path
