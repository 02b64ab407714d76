"""The graph of a backward pass with its nodes gathered by module."""

import re
from collections import Counter
from collections.abc import Collection
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import Node

from experiments.step.step_trace import ACCUMULATE, StepTrace, address, reached, saved_by
from intrinsic.surgery.torch_internals import input_metadata, sequence_number

LOSS, PROJECTION = "loss", "Pᵀ"
VIEWS = {"view", "unsafeview", "reshapealias", "transpose", "permute", "t", "unsqueeze", "squeeze", "alias", "expand",
         "slice", "clone"}  # fmt: skip


def backward_graph(
    loss: Tensor, trace: StepTrace, model: nn.Module, projected: Collection[str], collecting: Collection[Node]
) -> dict[str, Any]:
    """Nodes that one module made in a row as one, in the order of the forward pass, and edges where gradients go.

    A node: `name` (the module's, with `:2` and so on where its code goes on after a call of another), `kind` (class, or
    the functions called between the calls of other modules), `shape` of the module's output, `saved` ([shape, how
    many, bytes]; a storage counts where it was first saved, weights and the batch not at all), `parameters` ([name,
    shape, "trained", "projected" or "frozen"]), `repeat` ([container, index, count] of a list of equal layers, or null)
    and `input` (whether a gradient goes on to what came before). `silent`: modules with parameters that made no node:
    no gradient reaches them. The layer inside a wrapper (LoRA, adapter) is part of the wrapper.

    Args:
        loss: of the traced forward pass.
        trace: of it.
        model: whose modules are the nodes.
        projected: names of weights whose gradients are collected for P^T.
        collecting: autograd's nodes that collect them.
    """
    assert loss.grad_fn is not None
    parameters = _parameters_by_module(model, projected)
    shapes = {_outer(call.module): (call.kind, call.shape) for call in trace.calls}  # a wrapper ends after its layer
    groups = _groups(loss.grad_fn, trace, collecting)
    owners = {node: name for name, members in groups.items() for node in members}
    seen = set(trace.resident)
    edges = sorted({
        (name, owners[following])
        for node, name in owners.items()
        for following, _ in node.next_functions
        if name != PROJECTION and following in owners and owners[following] != name
    })  # fmt: skip
    goes_on = {source for source, target in edges if target != PROJECTION}
    found = []
    for name, members in groups.items():
        module = name.partition(":")[0]
        kind, shape = shapes.get(module, (name, []))
        own = parameters.get(module, [])
        between = not own and any(other.startswith(f"{module}.") for other in [*shapes, *groups] if module)
        if between or not module:
            kind = " ".join(dict.fromkeys(op for op in map(_operation, members) if op not in VIEWS))
            (shape,) = [list(input_metadata(node)[0].shape) for node in members if _operation(node) not in VIEWS][-1:]
        found.append({
            "name": name, "kind": kind, "shape": shape, "saved": _saved(members, seen), "parameters": own,
            "repeat": _repeat(model, module), "input": name in goes_on,
        })  # fmt: skip
    made = {name.partition(":")[0] for name in groups}
    silent = [name for name in shapes if name not in made and parameters.get(name)]
    return {"nodes": found, "edges": [[*edge] for edge in edges], "silent": silent}


def _groups(root: Node, trace: StepTrace, collecting: Collection[Node]) -> dict[str, list[Node]]:
    """Nodes in the order in which they were made, cut where the module changes; views go with what they are of."""
    nodes = sorted((n for n in reached(root) if n.name() != ACCUMULATE), key=lambda node: sequence_number(node))
    runs: list[tuple[str, list[Node]]] = []
    if collecting:
        runs.append((PROJECTION, list(collecting)))
    for node in nodes:
        if node in collecting:
            continue
        owner = _outer(trace.owners.get(node, LOSS))
        if runs and runs[-1][0] == owner:
            runs[-1][1].append(node)
        else:
            runs.append((owner, [node]))
    groups: dict[str, list[Node]] = {}
    times: Counter[str] = Counter()
    last = None
    for owner, members in runs:
        if last not in (None, PROJECTION) and all(_operation(node) in VIEWS for node in members):
            groups[last].extend(members)
            continue
        times[owner] += 1
        last = owner if times[owner] == 1 else f"{owner}:{times[owner]}"
        groups[last] = members
    return groups


def _operation(node: Node) -> str:
    """The function that made a node: `relu` of ReluBackward0."""
    name = node.name().rstrip("0123456789").removesuffix("Backward").strip("_")
    return "attention" if "Attention" in name else name.lower()


def _saved(members: list[Node], seen: set[int]) -> list[list[Any]]:
    """What the nodes have saved and nobody before them, who are `seen`."""
    found: Counter[tuple[tuple[int, ...], int]] = Counter()
    for node in members:
        for tensor in saved_by(node):
            if address(tensor) not in seen:
                seen.add(address(tensor))
                found[tuple(tensor.shape), tensor.untyped_storage().nbytes()] += 1
    return [[list(shape), many, many * size] for (shape, size), many in found.items()]


def _outer(name: str) -> str:
    """The wrapper's name for the layer inside it."""
    return re.sub(r"(\.base)+$", "", name)


def _parameters_by_module(model: nn.Module, projected: Collection[str]) -> dict[str, list[list[Any]]]:
    """By module: name, shape and state of the parameters that are its own, a tied one in all its places."""
    found: dict[str, list[list[Any]]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        owner, _, last = name.rpartition(".")
        state = "projected" if name in projected else "trained" if p.requires_grad else "frozen"
        found.setdefault(_outer(owner), []).append([last, list(p.shape), state])
    return found


def _repeat(model: nn.Module, name: str) -> list[Any] | None:
    """The outermost list of more than two equal layers in which the module is."""
    parts = name.split(".")
    for place, part in enumerate(parts):
        if part.isdecimal():
            layers = list(model.get_submodule(".".join(parts[:place])).children())
            if len(layers) > 2 and len({_form(layer) for layer in layers}) == 1:
                return [".".join(parts[:place]), int(part), len(layers)]
    return None


def _form(layer: nn.Module) -> tuple[str, ...]:
    return tuple(f"{name} {type(module).__name__}" for name, module in layer.named_modules())
