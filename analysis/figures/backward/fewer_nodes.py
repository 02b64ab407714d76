"""The graph of a backward pass with fewer nodes: what a figure has room for."""

from typing import Any

Nodes = dict[str, dict[str, Any]]
Edges = list[tuple[str, str]]


def gather_nodes(graph: dict[str, Any]) -> tuple[Nodes, Edges]:
    """The nodes that are drawn, in the order of the forward pass, and the edges between them."""
    home: dict[str, str] = {}
    nodes: Nodes = {}
    for node in graph["nodes"]:
        container, index, count = node["repeat"] or ("", 0, 1)
        inner = node["repeat"] is not None and index < count - 1
        name = f"{container}.0-{count - 2}" if inner else node["name"]
        home[node["name"]] = name
        node = {**node, "stops": not node["input"], "modules": 1, "count": count - 1}
        if name in nodes:
            first = nodes[name]
            first["saved"] = first["saved"] + node["saved"]
            first["parameters"] = first["parameters"] + node["parameters"]
            first["stops"] |= node["stops"]
            first["modules"] += 1
        else:
            nodes[name] = {**node, "layers": container if inner else ""}
    edges = list(dict.fromkeys((home[source], home[target]) for source, target in graph["edges"]))
    return _joined(nodes, [edge for edge in edges if edge[0] != edge[1]])


def _joined(nodes: Nodes, edges: Edges) -> tuple[Nodes, Edges]:
    """With each node without weights that just one such node leads to in that node: dropout and a sum are one box."""
    plain = [name for name, node in nodes.items() if not node["parameters"] and name not in ("loss", "Pᵀ")]
    for name in plain:
        sources = [source for source, target in edges if target == name]
        if len(sources) == 1 and sources[0] in plain:
            inner, outer = nodes.pop(name), nodes[sources[0]]
            outer["kind"] = f"{inner['kind']}, {outer['kind']}"
            outer["saved"] = inner["saved"] + outer["saved"]
            outer["stops"] |= inner["stops"]
            outer["modules"] += inner["modules"]
            edges = [(sources[0] if a == name else a, b) for a, b in edges if b != name]
    return nodes, list(dict.fromkeys(edges))
