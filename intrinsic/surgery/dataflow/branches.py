"""The branches of a model's residual connections, x + f(x): where each ends, and what it does."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from intrinsic.surgery.dataflow.attention import attended, attends
from intrinsic.surgery.dataflow.graph import before, depends, handed_on, kind, operands, origin
from intrinsic.surgery.dataflow.record import Call, record
from intrinsic.surgery.torch_internals import sequence_number


@dataclass(frozen=True)
class Branch:
    """One f of a residual connection.

    Attributes:
        name: of the module whose output is added: its last linear layer, or, where several are summed by a mixture of
            experts, the module that does.
        does: what the branch does: "self-attention", "cross-attention" (it reads more than x), or else "feed-forward".
        width: of the output's last axis.
        linears: the linear layers of the branch by name, in the order of their calls, the last one included.
        keys: those from which attention's keys come; the layer that makes queries and values as well, if one does.
        values: those from which its values come.
    """

    name: str
    does: Literal["self-attention", "cross-attention", "feed-forward"]
    width: int
    linears: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


def find_branches(model: nn.Module) -> list[Branch]:
    """The branches in the order of the model's modules, each module once, as a call of the model shows them.

    A branch is an operand of a sum whose other operand it depends on. It attends if a softmax in it weighs a product,
    and it is cross-attention if it depends on another residual sum past x. Nothing is known of families or of names.

    Raises:
        UserError: if the model cannot be called, see `record`.
    """
    found = record(model)
    results: dict[Any, list[Call]] = {}
    for call in found.calls:
        for node in {call.result, origin(call.result)}:  # what is written into a view in place has no view before it
            results.setdefault(node, []).append(call)
    nodes: set[Any] = set()
    for end in found.ends:
        if end not in nodes:
            nodes |= set(before(end))
    sums = {node: pair for node in nodes if (pair := _residual(node)) is not None}
    written = {node: list(_writers(pair[1], results, sums)) for node, pair in sums.items()}
    sums = {node: pair for node, pair in sums.items() if written[node]}  # a bias of positions is no residual
    branches: dict[str, Branch] = {}
    for node in sorted(sums, key=sequence_number):
        for call in written[node]:
            if call.name not in branches:
                branches[call.name] = _describe(call, origin(sums[node][0]), found.calls, sums)
    order = {name: index for index, (name, _) in enumerate(model.named_modules())}
    return sorted(branches.values(), key=lambda branch: order[branch.name])


def _residual(node: Any) -> tuple[Any, Any] | None:
    """(x, f) of an operation x + f where f depends on x."""
    pair = operands(node)
    if kind(node) != "Add" or len(pair) != 2:
        return None
    earlier, later = sorted(pair, key=lambda each: sequence_number(origin(each)))
    return (earlier, later) if earlier is not later and depends(later, origin(earlier)) else None


def _writers(node: Any, results: dict[Any, list[Call]], sums: dict[Any, Any]) -> Iterator[Call]:
    """The calls whose outputs a branch is the sum of, with nothing behind them but dropout, scales and norms."""
    around: Call | None = None
    while True:
        calls = results.get(node, [])
        if linear := next((call for call in calls if is_linear(call.module)), None):
            yield linear
            return
        around = next((call for call in calls if _has_weights(call.module)), around)
        passed = next((call for call in calls if _passes(call)), None)
        following = passed.source if passed is not None else handed_on(node)
        if following is None:
            break
        node = following
    if around is None and kind(node) == "Add" and node not in sums:
        for each in operands(node):
            yield from _writers(each, results, sums)
    elif around is not None:
        yield around


def is_linear(module: nn.Module) -> bool:
    """Whether a module is a linear map of the last axis: nn.Linear, and what says how many outputs it has, as it."""
    return any(isinstance(getattr(module, key, None), int) for key in ("out_features", "nf"))  # nf: Conv1D


def _has_weights(module: nn.Module) -> bool:
    """Whether a module holds linear maps: layers, or matrices of a mixture of experts."""
    return any(is_linear(each) for each in module.modules()) or any(p.ndim == 3 for p in module.parameters(False))


def _passes(call: Call) -> bool:
    """Whether a call hands on its input but for a normalisation or the like: of one shape, with no matrix."""
    return (
        call.shapes[0] == call.shapes[1]
        and call.source is not None
        and call.source is not call.result
        and all(parameter.ndim <= 1 for parameter in call.module.parameters())
    )


def _describe(call: Call, skip: Any, calls: list[Call], sums: dict[Any, Any]) -> Branch:
    inside = [node for node in before(call.result, lambda node: node is skip or node in sums) if node is not skip]
    own = {node for node in inside if origin(node) is not skip}
    linears = {each.result: each.name for each in calls if is_linear(each.module) and each.result in own}
    found = [node for node in inside if attends(node)]
    crosses = any(node in sums for node in inside)
    does: Any = "feed-forward" if not found else "cross-attention" if crosses else "self-attention"
    keys, values = attended(found, linears)
    return Branch(call.name, does, call.shapes[1][-1], tuple(dict.fromkeys(linears.values())), keys, values)
