"""Other tensors in the places of a model's parameters, for one call."""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from intrinsic.errors import UserError
from intrinsic.subspace.places import SHARD_FIRST, Places, Put, innermost, places
from intrinsic.surgery.sharding import is_fsdp
from intrinsic.surgery.torch_internals import (
    next_sequence_number,
    own_modules,
    own_parameters,
    sequence_number,
    set_own_parameters,
)

_MEMORY = 4096  # calls whose backward passes may still be to come
_REMEDY = "change the model first, then make a Subspace around it"


class _Call(NamedTuple):
    thread: int
    first: int  # the numbers that autograd gave to the steps of the call: first, ..., end - 1
    end: int
    state: Hashable


class _Placed(dict[int, Tensor]):
    """Tensors by the parameter's id, and whose call has them in the places."""

    def __init__(self, user: "Substitution", tensors: Mapping[int, Tensor]) -> None:
        super().__init__(tensors)
        self.user = user


class Substitution:
    """Where a model holds some of its parameters, and calls of it with other tensors there.

    A copy or a pickle of it is None: whoever needs one makes it anew.

    Args:
        model: any module. Its modules get `Places`.
        slots: by a parameter's name, a name for each place that holds it (see `inject.parameter_slots`).
        others: those of parameters that are trained as they are, beside these: several places of one stay tied.
    """

    def __init__(
        self, model: nn.Module, slots: Mapping[str, Sequence[str]], others: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._slots, self._type = slots, type(model).__name__
        self._places: list[tuple[Places, str, str, str]] = []
        for name, held in slots.items():
            for slot in held:
                owner, _, key = slot.rpartition(".")
                self._places.append((places(model.get_submodule(owner)), key, name, slot))
                self._places[-1][0].users.add(self)
        self._children = [
            (own_modules(parent), key, child, type(child), f"{path}.{key}".lstrip("."))
            for path, parent in model.named_modules()
            for key, child in own_modules(parent).items()
        ]
        self._others = [
            (model.get_submodule(slot.rpartition(".")[0]), slot.rpartition(".")[2], name, slot)
            for name, held in (others or {}).items()
            for slot in held
            if len(held) > 1
        ]
        self._shapes = {name: parameter.shape for name, parameter in self._held().items()}
        self._calls: deque[_Call] = deque(maxlen=_MEMORY)
        self._latest: tuple[Hashable, Mapping[int, Tensor]] = None, {}  # the last call's state and tensors

    def parameters(self) -> dict[str, nn.Parameter]:
        """The parameters by name.

        Raises:
            UserError: if another module, or another kind of parameter, stands in a place since.
        """
        for modules, key, child, kind, name in self._children:
            if (
                child is not None and type(child) is not kind and is_fsdp(child)
            ):  # one without a place here: FSDP changes its class in place
                raise UserError(SHARD_FIRST)
            if modules.get(key) is not child:
                raise UserError(f"{self._type}.{name} is not the module it was when the Subspace was made: {_REMEDY}")
        held = self._held()
        for name, shape in self._shapes.items():
            if held[name].shape != shape:
                raise UserError(
                    f"{self._type}.{name} had the shape {tuple(shape)} when the Subspace was made, now "
                    f"{tuple(held[name].shape)}: {_REMEDY}"
                )
        return held

    def _held(self) -> dict[str, nn.Parameter]:
        held: dict[str, nn.Parameter] = {}
        for owner, key, name, slot in self._places:
            parameter = owner.original(key)
            if parameter is None:
                raise UserError(f"{self._type}.{slot} is not a parameter any more: {_REMEDY}")
            first = held.setdefault(name, parameter)
            if first is not parameter:
                owner[key] = self._tied(first, parameter, name, slot)
        others: dict[str, nn.Parameter] = {}
        for module, key, name, slot in self._others:
            parameter = dict.get(own_parameters(module), key)
            if parameter is not None and others.setdefault(name, parameter) is not parameter:
                own_parameters(module)[key] = self._tied(others[name], parameter, name, slot)
        return held

    def _tied(self, first: nn.Parameter, parameter: nn.Parameter, name: str, slot: str) -> nn.Parameter:
        """What is to stand in all places of a parameter, after load_state_dict(..., assign=True) has untied it."""
        if not _equal(first, parameter):
            raise UserError(
                f"{self._type}.{slot} was tied to {name} when the Subspace was made, and has other values now: "
                + _REMEDY
            )
        return first

    @contextmanager
    def hold(self, model: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
        """Have the model itself hold these tensors, by the parameter's name, in the places, for everyone who looks."""
        owners = {slot: model.get_submodule(slot.rpartition(".")[0]) for *_, slot in self._places}
        before = {owner: places(owner) for owner in owners.values()}
        try:
            for owner, parameters in before.items():  # a dictionary of Python's, which costs no more than without us
                set_own_parameters(owner, {key: parameters.original(key) for key in parameters})
            for _, key, name, slot in self._places:
                own_parameters(owners[slot])[key] = tensors[name]  # type: ignore[assignment]
            yield
        finally:
            for owner, parameters in before.items():
                set_own_parameters(owner, parameters)

    def put(self, tensors: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Let this thread find these tensors, by the parameter's name, in the places."""
        return Put(self._by_id(tensors))

    def _by_id(self, tensors: Mapping[str, Tensor]) -> "_Placed":
        return _Placed(self, {id(owner.original(key)): tensors[name] for owner, key, name, _ in self._places})

    def is_under_way(self) -> bool:
        """Whether the innermost call of this thread is one of these."""
        call = innermost()
        return isinstance(call, _Placed) and call.user is self

    def call(
        self,
        model: Callable[..., Any],
        tensors: Mapping[str, Tensor],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        *,
        state: Hashable = None,
    ) -> Any:
        """What the model, or a function of it, returns with a tensor, by the parameter's name, in every place.

        A backward pass that runs parts of the model again (activation checkpointing) finds them, too: those of the
        last call of the same `state`, such as the versions of what the tensors are made of.
        """
        if torch.compiler.is_compiling() and isinstance(model, nn.Module):
            slots = {slot: tensor for name, tensor in tensors.items() for slot in self._slots[name]}
            return functional_call(model, slots, tuple(args), kwargs, tie_weights=False)
        placed = self._by_id(tensors)
        with Put(placed):
            if not torch.is_grad_enabled():
                return model(*args, **kwargs)
            self._latest = state, placed
            first = next_sequence_number()
            try:
                return model(*args, **kwargs)
            finally:
                self._calls.append(_Call(threading.get_ident(), first, next_sequence_number(), state))

    def placed(self, node: Any) -> Mapping[int, Tensor] | None:
        """What the call had in the places in which autograd made a node; None if it was made elsewhere.

        Raises:
            UserError: if a call of another state has come since.
        """
        call = self._made(sequence_number(node))
        if call is None:
            return None
        state, tensors = self._latest
        if call.state != state:
            raise UserError(
                f"a backward pass runs a part of {self._type} again (activation checkpointing) whose weights are gone: "
                "call backward() before the trained numbers change and the next call"
            )
        return tensors

    def _made(self, made: int) -> _Call | None:
        thread, other = threading.get_ident(), None
        for call in reversed(self._calls):
            if call.first <= made < call.end:
                if call.thread == thread:
                    return call
                other = other or call  # on a GPU the backward pass has a thread of its own
            elif call.thread == thread and call.end <= made:
                break
        return other

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(None), ()


def _equal(one: Tensor, other: Tensor) -> bool:
    same = (one.shape, one.dtype, one.device) == (other.shape, other.dtype, other.device)
    return same and torch.equal(one, other)
