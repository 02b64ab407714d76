"""Autograd's graph of operations, read forwards in time: which came before, and what does nothing but hand on."""

from collections.abc import Callable, Iterator
from typing import Any

from intrinsic.surgery.torch_internals import sequence_number

# operations with one result whose numbers are those of one operand, in another order, of another size or type
_MOVES = ("View", "Transpose", "Permute", "Expand", "Reshape", "Clone", "ToCopy", "Squeeze", "Unsqueeze", "T", "Alias")
_MOVES += ("Slice", "Select", "Roll", "Split", "Chunk", "Unbind", "Contiguous", "Index", "ConstantPadNd", "Constant")
_SCALES = ("Mul", "Div", "Dropout", "Add", "Sub")


def kind(node: Any) -> str:
    """What an operation is called: "Add", "Softmax", "NativeLayerNorm", ..."""
    name: str = node.name().rpartition("::")[2]
    return name.partition("Backward")[0].removeprefix("Unsafe").removeprefix("Native").removeprefix("Safe")


def operands(node: Any) -> list[Any]:
    """The operations that made what an operation reads, weights left out."""
    return [each for each, _ in node.next_functions if each is not None and kind(each) != "AccumulateGrad"]


def handed_on(node: Any) -> Any:
    """The operation whose numbers this one hands on, moved or scaled; None if it computes something else."""
    found, name = operands(node), kind(node)
    one = len(found) == 1 and (name.startswith(_MOVES) or name.startswith(_SCALES))
    return found[0] if one else None


def origin(node: Any) -> Any:
    """The first operation of those that hand on to this one by moving alone."""
    while kind(node).startswith(_MOVES) and len(operands(node)) == 1:
        (node,) = operands(node)
    return node


def before(node: Any, stop: Callable[[Any], bool] = lambda node: False) -> Iterator[Any]:
    """An operation and all those that it depends on; none that come before one at which to stop."""
    seen, todo = {id(node)}, [node]
    while todo:
        found = todo.pop()
        yield found
        for each in () if stop(found) else operands(found):
            if id(each) not in seen:
                seen.add(id(each))
                todo.append(each)


def depends(later: Any, earlier: Any) -> bool:
    """Whether an operation depends on another one."""
    first = sequence_number(earlier)
    return any(node is earlier for node in before(later, lambda node: sequence_number(node) <= first))
