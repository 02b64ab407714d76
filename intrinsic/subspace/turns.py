"""One thread at a time."""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])


class Turns:
    """A lock that its holder may take again; a copy or a pickle of it is a new one."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return Turns, ()


class _HasTurns(Protocol):
    turns: Turns


def in_turn(method: _F) -> _F:
    """Let one thread at a time be in the methods of an object that are marked so: those with its `turns`."""

    @wraps(method)
    def locked(self: _HasTurns, *args: Any, **kwargs: Any) -> Any:
        with self.turns:
            return method(self, *args, **kwargs)

    return locked  # type: ignore[return-value]
