"""Attention among the operations of a call: what it is, and which layers its keys and values come from."""

from collections.abc import Iterable, Mapping
from typing import Any

from intrinsic.surgery.dataflow.graph import before, handed_on, kind, operands
from intrinsic.surgery.torch_internals import sequence_number

_WHOLE = ("ScaledDotProduct", "EfficientAttention", "FlashAttention")
_PRODUCTS = ("Bmm", "Baddbmm")


def attends(node: Any) -> bool:
    """Whether an operation is attention as a whole, or a product one of whose operands is a softmax."""
    return kind(node).startswith(_WHOLE) or _softmax(node) is not None


def attended(nodes: Iterable[Any], linears: Mapping[Any, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The layers, of those by the operation of their result, that keys come from, and those that values come from."""
    keys: dict[str, None] = {}
    values: dict[str, None] = {}
    for node in nodes:
        pair = _keys_and_values(node, linears)
        for names, operand in zip((keys, values), pair, strict=True):
            reached = () if operand is None else before(operand, lambda each: each in linears)
            names |= dict.fromkeys(linears[each] for each in reached if each in linears)
    return tuple(keys), tuple(values)


def _keys_and_values(node: Any, linears: Mapping[Any, str]) -> tuple[Any, Any]:
    if kind(node).startswith(_WHOLE):
        return tuple((operands(node) + [None] * 3)[1:3])  # query, key, value
    softmax = _softmax(node)
    value = next((each for each in operands(node) if _source(each) is not softmax), None)
    products = [each for each in before(softmax, lambda each: each in linears) if kind(each) in _PRODUCTS]
    first = min(products, key=sequence_number, default=None)  # later ones are of positions
    return (None if first is None else operands(first)[-1]), value


def _softmax(node: Any) -> Any:
    if kind(node) not in _PRODUCTS:
        return None
    return next((found for each in operands(node) if kind(found := _source(each)).endswith("Softmax")), None)


def _source(node: Any) -> Any:
    while (following := handed_on(node)) is not None:
        node = following
    return node
