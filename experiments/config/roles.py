"""The roles of what a config builds, each group of nodes a closed list: a stranger's file calls nothing else.

A new space, projection, model, dataset, optimiser, schedule or logger is a file of its package that bears its name: it
needs no entry here. Nor does one of a package that whoever runs the program allows (see `intrinsic.own_packages`).
"""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from types import FunctionType
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from intrinsic.errors import UserError
from intrinsic.files.run_id import RENAMED
from intrinsic.own_packages import how_to_allow, is_allowed, own_module
from intrinsic.projections.base import Projection
from intrinsic.spaces.base import Space
from intrinsic.tasks.task import Task


@dataclass(frozen=True)
class Role:
    """What a node of one group makes.

    Args:
        homes: modules where it is defined; of a package of ours, any file. Packages that the user allows are others,
            unless it is `closed`.
        kind: what its classes inherit from, and its functions return; None: `methods` says it.
        methods: that its classes have.
        given: arguments that the program adds later, by position; then a node binds the others with `_partial_`.
        named: those that it adds by name.
        parts: arguments that hold nodes themselves, in a list or a mapping, and the role of these.
        closed: whether there are no homes but these.
    """

    homes: tuple[str, ...]
    kind: type | None
    methods: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)
    closed: bool = False

    @property
    def partial(self) -> bool:
        """Whether the program calls what was built."""
        return bool(self.given or self.named)

    def admits(self, thing: Any) -> bool:
        """Whether a config may have this called."""
        module = getattr(thing, "__module__", None)
        if not isinstance(module, str) or not self.holds(module):
            return False
        if module.startswith("torch."):
            return isinstance(thing, type) and self._is_base_of(thing)
        if not _named_alike(module, thing) and not self.is_own(module):
            return False
        if isinstance(thing, type):
            return self._is_base_of(thing) and not _takes_code(thing)
        return isinstance(thing, FunctionType) and self._returned_by(thing) and not _takes_code(thing)

    def holds(self, module: str) -> bool:
        """Whether the module is one of `homes`, or in one, or of a package of the user's own."""
        return any(module == home or module.startswith(f"{home}.") for home in self.homes) or self.is_own(module)

    def is_own(self, module: str) -> bool:
        """Whether the module is of a package that the user allows here."""
        return not self.closed and is_allowed(module)

    def _is_base_of(self, thing: type) -> bool:
        """Whether the class makes things of this kind."""
        if self.kind is None:
            return all(callable(getattr(thing, name, None)) for name in self.methods)
        return issubclass(thing, self.kind) and thing is not self.kind and not inspect.isabstract(thing)

    def _returned_by(self, function: FunctionType) -> bool:
        """Whether the function makes a thing of this kind, and of no such thing."""
        try:
            hints = typing.get_type_hints(function)
        except (NameError, TypeError, AttributeError, SyntaxError):
            return False
        kind, returned = self.kind, hints.pop("return", None)
        if kind is None or not isinstance(returned, type) or not issubclass(returned, kind):
            return False
        return kind not in hints.values()


ROLES = {
    "space": Role(("intrinsic.spaces",), Space, parts={"spaces": "space"}),
    "projection": Role(("intrinsic.projections",), Projection, given=("dim", "full_dim"), named=("seed",)),
    "subspace": Role(
        ("intrinsic.subspace",),
        nn.Module,
        (),
        ("model",),
        ("space", "projection", "head", "seed", "projection_seed"),
        closed=True,
    ),
    "model": Role(("intrinsic.models",), nn.Module, given=("input_shape", "num_outputs")),
    "tokenizer": Role(("intrinsic.models",), None, methods=("__call__", "save")),
    "dataset": Role(("intrinsic.data",), Task),
    "optim": Role(("torch.optim", "intrinsic.training"), Optimizer, given=("params",)),
    "schedule": Role(("torch.optim.lr_scheduler", "intrinsic"), LRScheduler, given=("optimizer",)),
    "logger": Role(
        ("experiments",), None, methods=("log", "__enter__", "__exit__"), named=("config", "folder")
    ),
}  # fmt: skip


def find(target: Any, role: str) -> Callable[..., Any]:
    """What `_target_` names, by its file or as a public name of `intrinsic`.

    Raises:
        UserError: if it is nothing that a node of this role may make.
    """
    rule, target = ROLES[role], RENAMED.get(str(target), target)
    module_name, _, name = str(target).rpartition(".")
    if not re.fullmatch(r"[A-Za-z]\w*(\.\w+)+", str(target), re.ASCII) or not (
        module_name == "intrinsic" or rule.holds(module_name)
    ):
        remedy = "" if rule.closed else how_to_allow(str(target))
        raise UserError(f"_target_={target} is refused as {role}: need a name in {' or '.join(rule.homes)}{remedy}")
    own = rule.is_own(module_name)
    try:
        module = own_module(module_name) if own else import_module(module_name)
    except ImportError:
        if own:
            raise
        raise UserError(f"_target_={target}: there is no module {module_name}") from None
    found = getattr(module, name, None)
    if found is None or not rule.admits(found):
        known = [key for key, value in vars(module).items() if rule.admits(value)]
        near = get_close_matches(name, known, n=1, cutoff=0.0)
        need = f"; need a subclass of {rule.kind.__name__}" if own and rule.kind is not None else ""
        need += ", or a function that is annotated to return one" if need else ""
        raise UserError(
            f"_target_={target} is refused: {module_name} defines {', '.join(near) or 'nothing'} for {role}{need}"
        )
    return typing.cast("Callable[..., Any]", found)


def _named_alike(module: str, thing: Any) -> bool:
    """Whether the name is that of its file: LoRA of lora, ResNet20 of resnet20, WandbLogger of wandb_logger."""
    stem = module.rpartition(".")[2].replace("_", "")
    return stem == getattr(thing, "__name__", "").replace("_", "").lower()


def _takes_code(thing: Callable[..., Any]) -> bool:
    """Whether it cannot be called without something to call, which no config can hold."""
    parameters = inspect.signature(thing).parameters.values()
    return any(typing.get_origin(p.annotation) is Callable and p.default is p.empty for p in parameters)
