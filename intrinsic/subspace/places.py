"""A module's parameters, in whose places a call may find other tensors: in its own thread, and for its time alone."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any, Protocol
from weakref import WeakSet

from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.surgery.sharding import is_sharded
from intrinsic.surgery.torch_internals import (
    current_node,
    graph_task,
    own_parameters,
    set_own_parameters,
    swap_cached,
    when_backward_ends,
)

SHARD_FIRST = (
    "fully_shard was called around a Subspace: call it on the model's parts and on the model first, then make the "
    "Subspace around the model"
)


class User(Protocol):
    """Who calls a model with other tensors in its places."""

    def placed(self, node: Any) -> Mapping[int, Tensor] | None:
        """What the call had in the places in which autograd made a node; None if it was made elsewhere."""


class _Thread(threading.local):
    def __init__(self) -> None:
        self.calls: list[Mapping[int, Tensor]] = []  # under way, the innermost last: tensors by the parameter's id
        self.again: list[Mapping[int, Tensor]] = []  # of the call of which a backward pass has last run a part again


_thread = _Thread()


class Places(dict[str, nn.Parameter | None]):
    """A module's parameters, as it has them; a call with other tensors finds these when it looks.

    Nothing is ever put in and taken out again: whoever else reads the module meanwhile, in another thread or around the
    call, finds its parameters. A deep copy and a pickle are a plain dict of these, a copy is one of what is found.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter | None]) -> None:
        super().__init__(parameters)
        self.users: WeakSet[Any] = WeakSet()  # each a `User`

    def __getitem__(self, key: str) -> Any:
        parameter = dict.__getitem__(self, key)
        calls = _thread.calls
        return calls[-1].get(id(parameter), parameter) if calls else self._now(parameter)

    def __setitem__(self, key: str, value: Any) -> None:
        if is_sharded(value):
            raise UserError(SHARD_FIRST)
        super().__setitem__(key, value)

    def get(self, key: str, default: Any = None) -> Any:
        """The tensor of that name, or `default`."""
        return self._now(super().get(key, default))

    def items(self) -> Any:
        """Names and tensors."""
        return [(key, self._now(parameter)) for key, parameter in super().items()]

    def values(self) -> Any:
        """The tensors."""
        return [self._now(parameter) for parameter in super().values()]

    def __iter__(self) -> Iterator[str]:
        """Names; defined so that `dict(places)`, `{**places}` and `update` look each tensor up."""
        return super().__iter__()

    def copy(self) -> dict[str, Any]:
        """Names and tensors."""
        return dict(self.items())

    __copy__ = copy

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The tensor of that name, or `default`, which is then there."""
        return self[key] if key in self else super().setdefault(key, default)

    def original(self, key: str) -> nn.Parameter | None:
        """The parameter itself, also within a call; None if there is none."""
        return super().get(key)

    def _now(self, parameter: Any) -> Any:
        if _thread.calls:
            return _thread.calls[-1].get(id(parameter), parameter)
        if graph_task() == -1:
            return parameter
        return self._again().get(id(parameter), parameter)

    def _again(self) -> Mapping[int, Tensor]:
        """What the call had in the places that a backward pass runs a part of again (activation checkpointing)."""
        node, again = current_node(), _thread.again
        found = [] if node is None else [tensors for user in self.users if (tensors := user.placed(node)) is not None]
        if len(found) > 1:
            raise UserError(
                "a backward pass runs a part of a model again (activation checkpointing) that several Subspaces have "
                "called in several threads: give each a model of its own, by copy.deepcopy"
            )
        if found:
            if not again:
                when_backward_ends(again.clear)
            again[:] = found
        # else a step that the backward pass itself has made, in a part within a part: of the call that it runs again
        return again[0] if again else {}

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return dict, (dict(super().items()),)


def places(module: nn.Module) -> Places:
    """The module's places, which from now on others may be put in."""
    found = own_parameters(module)
    if not isinstance(found, Places):
        found = Places(found)
        set_own_parameters(module, found)
    return found


def innermost() -> Mapping[int, Tensor] | None:
    """What the innermost call that is under way in this thread has put in the places; None outside of any."""
    return _thread.calls[-1] if _thread.calls else None


class Put:
    """Let this thread find these tensors, by the parameter's id, in the places: these, and no outer call's.

    What `parametrize.cached()` keeps meanwhile is of these tensors, and goes with them.

    A class, as a step's overhead counts: entering a function's context takes twice as many calls.
    """

    __slots__ = ("_cached", "_tensors")

    def __init__(self, tensors: Mapping[int, Tensor]) -> None:
        self._tensors = tensors

    def __enter__(self) -> None:
        if graph_task() == -1:
            _thread.again.clear()  # what an exception in a backward pass has left
        self._cached = swap_cached({})
        _thread.calls.append(self._tensors)

    def __exit__(self, *_: object) -> None:
        _thread.calls.pop()
        if self._cached is not None:
            swap_cached(self._cached)
