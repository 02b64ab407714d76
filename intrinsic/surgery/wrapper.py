"""A module in the place of another one, which it calls."""

from typing import Any

from torch import nn

from intrinsic.errors import UserError
from intrinsic.surgery.added_module import AddedModule
from intrinsic.surgery.torch_internals import (
    CALL_HOOKS,
    HELD,
    MODULES,
    STATE_HOOKS,
    move_hooks,
    share_non_persistent,
)
from intrinsic.surgery.transformers_internals import ACCELERATE


class Wrapper(AddedModule):
    """A module around `base` that behaves as the base does, but for what it adds to what the base returns.

    It starts in the base's mode. While it is in the base's place (see `inject.swap`), the hooks of the base's calls are
    its own, so that they see what it takes and returns; the handles stay valid. What it has not, the base has:
    attributes are read and set there. Hooks of the state dict stay with the base, whose keys they know. All that was
    put on the wrapper meanwhile is the base's again when it goes.

    Args:
        base: the module.
        **own: attributes of the wrapper's own.
    """

    base: nn.Module
    takes_hooks = True
    is_see_through = False  # whether a layer in it goes by the wrapper's name
    kept = False  # whether it belongs to the model: a later net stands on it, and leaves it there

    def __init__(self, base: nn.Module, **own: Any) -> None:
        super().__init__()
        for name, value in own.items():
            setattr(self, name, value)
        self._first: frozenset[str] = frozenset()  # what it had when it came into its place
        self.training = base.training
        self.base = base

    def take_over(self) -> None:
        """Take the base's place: its hooks go to the wrapper."""
        if self.takes_hooks:
            move_hooks(self.base, self, CALL_HOOKS)
        self._first = frozenset(name for held in (vars(self), *(vars(self)[kind] for kind in HELD)) for name in held)

    def check_release(self) -> None:
        """Check that nothing hangs on the wrapper that its base cannot take.

        Raises:
            UserError: if a `forward` was set on it, which calls the wrapper's.
        """
        if forward_was_set(self):
            raise UserError(
                f"a {type(self.base).__name__} was given a forward of its own after it was wrapped, which would be "
                "lost: remove it (accelerate: remove_hook_from_module), and add it again afterwards"
            )

    def release(self) -> None:
        """Give the place back: hooks, and whatever else was put on the wrapper, go to the base."""
        self.check_release()
        move_hooks(self, self.base, CALL_HOOKS + STATE_HOOKS)
        own, base = vars(self), vars(self.base)
        for held, theirs in ((own, base), *((own[kind], base[kind]) for kind in HELD)):
            for name in [name for name in held if name not in self._first and name != "forward"]:
                theirs[name] = held.pop(name)
        share_non_persistent(self, self.base)

    def _is_own(self, name: str) -> bool:
        own = vars(self)
        base = own.get(MODULES, {}).get("base")
        return (
            base is None
            or name in own
            or name in ACCELERATE  # another module's is no answer
            or hasattr(type(self), name)
            or any(name in own[kind] for kind in HELD)
            or not hasattr(base, name)
        )

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("__") or name in ACCELERATE:
                raise  # Python's own protocols, such as __deepcopy__, are about this object
            return getattr(super().__getattr__("base"), name)  # bias, in_features, stride, ...

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)  # nn.Module would register a parameter past it
        elif self._is_own(name):
            super().__setattr__(name, value)
        else:
            setattr(self.base, name, value)

    def __delattr__(self, name: str) -> None:
        if self._is_own(name):
            super().__delattr__(name)
        else:
            delattr(self.base, name)


def forward_was_set(module: nn.Module) -> bool:
    """Whether a module has another forward than its class's, which accelerate leaves on it when it goes."""
    found = vars(module).get("forward")
    bound = getattr(found, "__self__", None) is module and getattr(found, "__func__", None) is type(module).forward
    return found is not None and not bound
