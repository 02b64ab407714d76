"""Autograd's graph of operations, read forwards in time: which came before, and what does nothing but hand on."""

from collections.abc import Callable, Iterator
from typing import Any

from intrinsic.surgery.torch_internals import sequence_number

# operations with one result whose numbers are those of one operand, in another order, of another size or type
_MOVES: list[str] = ["View", "Transpose", "Permute", "Expand", "Reshape", "Clone", "ToCopy", "Squeeze", "Unsqueeze"]
_MOVES += ["Alias", "AsStrided", "Slice", "Select", "Roll", "Split", "Chunk", "Unbind", "ConstantPadNd"]
_SCALES = ("Mul", "Div", "Dropout", "Add", "Sub")


def kind(node: Any) -> str:
    """What an operation is called: "Add", "Softmax", "LayerNorm", ...

    What is written into a part of a tensor in place counts as added, as `x += y` where x is a view.
    """
    name: str = node.name().rpartition("::")[2]
    if name == "CopySlices":
        return "Add"
    return name.partition("Backward")[0].removeprefix("Unsafe").removeprefix("Native").removeprefix("Safe")


def _moves(node: Any) -> bool:
    name = kind(node)
    return name.startswith(tuple(_MOVES)) or name in ("T", "Index")


def operands(node: Any) -> list[Any]:
    """The operations that made what an operation reads, weights left out."""
    return [each for each, _ in node.next_functions if each is not None and kind(each) != "AccumulateGrad"]


def handed_on(node: Any) -> Any:
    """The operation whose numbers this one hands on, moved or scaled; None if it computes something else."""
    found = operands(node)
    return found[0] if len(found) == 1 and (_moves(node) or kind(node) in _SCALES) else None


def origin(node: Any) -> Any:
    """The first operation of those that hand on to this one by moving alone."""
    while _moves(node) and len(operands(node)) == 1:
        (node,) = operands(node)
    return node


def before(node: Any, stop: Callable[[Any], bool] = lambda node: False) -> Iterator[Any]:
    """An operation and all those that it depends on; none that come before one at which to stop."""
    seen, todo = {node}, [node]  # autograd makes an object for an operation anew when the last one was let go
    while todo:
        found = todo.pop()
        yield found
        for each in () if stop(found) else operands(found):
            if each not in seen:
                seen.add(each)
                todo.append(each)


def depends(later: Any, earlier: Any) -> bool:
    """Whether an operation depends on another one."""
    first = sequence_number(earlier)
    return any(node is earlier for node in before(later, lambda node: sequence_number(node) <= first))
