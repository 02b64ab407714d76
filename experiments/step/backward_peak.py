"""The most bytes that a backward pass holds at a time, from the shapes in its graph."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from heapq import heappop, heappush
from itertools import count

from torch.autograd.graph import Node

from experiments.step.step_trace import ACCUMULATE, address, reached, saved_by
from intrinsic.surgery.torch_internals import input_metadata, sequence_number

# nodes whose result is (a view of) the gradient that they are given
PASSING = {"View", "UnsafeView", "ReshapeAlias", "Transpose", "Permute", "T", "Unsqueeze", "Squeeze", "Alias", "Add",
           "Sub", "Clone", "Cat", "Expand", "ToCopy"}  # fmt: skip
KINDS = ("saved", "gradients", "working")


class _Buffer:
    """A gradient on its way, and how many hold it."""

    def __init__(self, size: int, kind: str) -> None:
        self.size, self.kind, self.holders = size, kind, 0


def backward_peak(root: Node, resident: Collection[int], collecting: Mapping[Node, int]) -> dict[str, int]:
    """The largest count of bytes between two nodes of the backward pass from `root`, by kind; nothing is computed.

    `saved`: what the nodes not yet run hold, each storage once; `gradients`: those of leaves and of `collecting`;
    `working`: all other gradients. A node is held to have its inputs, its outputs and what it saved at once, in the
    order in which autograd runs nodes: the last recorded first, leaves as soon as they are reached. What other nodes
    than `collecting` allocate inside and free is not seen: temporaries of kernels.

    Args:
        root: of the loss.
        resident: addresses of storages that are not the step's.
        collecting: nodes that take the gradients of weights, and the bytes that each allocates inside and frees.
    """
    nodes = reached(root)
    waits = Counter(following for node in nodes for following, _ in node.next_functions if following is not None)
    sizes = {node: [math.prod(meta.shape) * meta.dtype.itemsize for meta in input_metadata(node)] for node in nodes}
    saved, storages = _saved(nodes, resident)
    live = Counter({"saved": sum(storages.values())})
    users = Counter(place for places in saved.values() for place in places)
    peak = dict(live)
    arrived: defaultdict[Node, dict[int, _Buffer]] = defaultdict(dict)
    ready: list[tuple[float, int, Node]] = []
    number = count()

    def hold(buffer: _Buffer, change: int) -> None:
        if buffer.holders == 0:
            live[buffer.kind] += buffer.size
        buffer.holders += change
        if buffer.holders == 0:
            live[buffer.kind] -= buffer.size

    def push(node: Node) -> None:
        leaf = node.name() == ACCUMULATE
        heappush(ready, (-math.inf if leaf else -sequence_number(node), next(number), node))

    first = _Buffer(sizes[root][0], "working")
    hold(first, 1)
    arrived[root][0] = first
    push(root)
    while ready:
        node = heappop(ready)[-1]
        given = arrived.pop(node, {})
        if node.name() == ACCUMULATE:
            continue  # its gradient stays
        made: list[tuple[Node, int, _Buffer]] = []
        for following, index in node.next_functions:
            if following is None:
                continue
            size = sizes[following][index]
            buffer = _passed(node, given, size)
            leaf = following.name() == ACCUMULATE or following in collecting
            if buffer is None or (leaf and buffer.holders > 1):
                buffer = _Buffer(size, "gradients" if leaf else "working")
            elif leaf and buffer.kind == "working":
                live["working"] -= buffer.size
                live["gradients"] += buffer.size
                buffer.kind = "gradients"
            hold(buffer, 1)
            made.append((following, index, buffer))
        inside = collecting.get(node, 0)
        if live.total() + inside > sum(peak.values()):
            peak = dict(live + Counter({"working": inside}))
        for buffer in given.values():
            hold(buffer, -1)
        for place in saved[node]:
            users[place] -= 1
            live["saved"] -= storages[place] * (users[place] == 0)
        for following, index, buffer in made:
            if index not in arrived[following]:
                arrived[following][index] = buffer
            elif arrived[following][index].holders > 1:  # a sum of its own: others still hold the first
                total = _Buffer(sizes[following][index], buffer.kind)
                hold(total, 1)
                hold(arrived[following][index], -1)
                hold(buffer, -1)
                arrived[following][index] = total
            else:
                hold(buffer, -1)
            waits[following] -= 1
            if waits[following] == 0:
                push(following)
        if live.total() > sum(peak.values()):
            peak = dict(live)
    return {kind: peak.get(kind, 0) for kind in KINDS}


def _passed(node: Node, given: dict[int, _Buffer], size: int) -> _Buffer | None:
    """The gradient that `node` hands on as it is."""
    name = node.name().rstrip("0123456789").removesuffix("Backward")
    buffer = given.get(0)
    fits = buffer is not None and (buffer.size == size or (name == "Cat" and buffer.size >= size))
    return buffer if fits and name in PASSING else None


def _saved(nodes: list[Node], resident: Collection[int]) -> tuple[dict[Node, set[int]], dict[int, int]]:
    """The addresses that each node holds, and the bytes at each address."""
    saved: dict[Node, set[int]] = {}
    storages: dict[int, int] = {}
    for node in nodes:
        held = [tensor for tensor in saved_by(node) if address(tensor) not in resident]
        saved[node] = {address(tensor) for tensor in held}
        storages |= {address(tensor): tensor.untyped_storage().nbytes() for tensor in held}
    return saved, storages
