"""The trace of a forward pass: what it leaves for its backward pass, and which module made it."""

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn
from torch.autograd.graph import Node, saved_tensors_hooks
from torch.overrides import TorchFunctionMode

from intrinsic.surgery.torch_internals import saved

ACCUMULATE = "torch::autograd::AccumulateGrad"


@dataclass(frozen=True)
class Call:
    """A call of a module that has ended."""

    module: str
    kind: str  # its class
    shape: list[int]  # of its first output


class StepTrace(TorchFunctionMode):
    """Within `with`, the forward pass of `model`: which module made which node, what is saved, and the peak of bytes.

    A node belongs to the innermost module in whose call it was made. A storage counts once, and not at all if it was
    there before. The peak is of what is saved and of what Python holds, after each of torch's functions: what a
    function allocates inside and frees is not seen.

    Args:
        model: what is called.
        resident: tensors that are there before and after the step: weights, buffers, the batch.
    """

    def __init__(self, model: nn.Module, resident: Iterable[Tensor]) -> None:
        super().__init__()
        self.owners: dict[Node, str] = {}
        self.calls: list[Call] = []
        self.saved: dict[int, int] = {}  # bytes by address
        self.peak = {"saved": 0, "working": 0}  # bytes
        self.resident = {address(tensor) for tensor in resident}
        self._names = {module: name for name, module in model.named_modules()}
        self._stack: list[tuple[int, set[Node | None]]] = []  # owners before the call, and where its inputs are from
        self._kept: list[Tensor] = []  # the saved storages: their addresses are not given out again
        self._alive: Counter[int] = Counter()  # tensors of Python by address
        self._sizes: dict[int, int] = {}
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        for module in self._names:
            before = module.register_forward_pre_hook(self._enter_module, with_kwargs=True)
            after = module.register_forward_hook(self._leave_module)
            for handle in (before, after):
                self._exit.callback(handle.remove)
        self._exit.enter_context(saved_tensors_hooks(self._save, lambda tensor: tensor))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._exit.close()
        self._kept.clear()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function and count what is there."""
        result = func(*args, **(kwargs or {}))
        for tensor in tensors(result):
            place = address(tensor)
            if place not in self.resident:
                self._sizes[place] = tensor.untyped_storage().nbytes()
                self._alive[place] += 1
                weakref.finalize(tensor, self._die, place).atexit = False
        live = sum(self._sizes[place] for place, count in self._alive.items() if count and place not in self.saved)
        saved = sum(self.saved.values())
        if live + saved > sum(self.peak.values()):
            self.peak = {"saved": saved, "working": live}
        return result

    def _die(self, place: int) -> None:
        self._alive[place] -= 1

    def _save(self, tensor: Tensor) -> Tensor:
        tensor = tensor.detach()  # a node that saved its own output would keep itself alive
        if address(tensor) not in self.resident:
            self.saved[address(tensor)] = tensor.untyped_storage().nbytes()
            self._kept.append(tensor)
        return tensor

    def _enter_module(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._stack.append((len(self.owners), {tensor.grad_fn for tensor in tensors((args, kwargs))}))

    def _leave_module(self, module: nn.Module, _: Any, output: Any) -> None:
        before, seen = self._stack.pop()
        older = set(list(self.owners)[:before]) | seen
        results = list(tensors(output))
        todo = [tensor.grad_fn for tensor in results]
        while todo:
            node = todo.pop()
            if node is None or node in older or node.name() == ACCUMULATE:
                continue
            older.add(node)
            self.owners.setdefault(node, self._names[module])
            todo += [following for following, _ in node.next_functions]
        shape = list(results[0].shape) if results else []
        self.calls.append(Call(self._names[module], type(module).__name__, shape))


def address(tensor: Tensor) -> int:
    """Where the tensor's storage begins."""
    return tensor.untyped_storage().data_ptr()


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)


def saved_by(node: Node) -> list[Tensor]:
    """The tensors that a node has saved."""
    found = list(tensors(saved(node)))
    try:
        return found + list(tensors(getattr(node, "saved_tensors", ())))
    except RuntimeError:  # it has run in an earlier step, and is used again because it needs none (see `Flat.again`)
        return found


def reached(root: Node) -> list[Node]:
    """The nodes that a backward pass from `root` may visit, itself first."""
    found, todo = {root: None}, [root]
    while todo:
        for node, _ in todo.pop().next_functions:
            if node is not None and node not in found:
                found[node] = None
                todo.append(node)
    return list(found)
