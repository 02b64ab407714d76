"""Numbers that JSON can hold."""

from collections.abc import Mapping
from typing import Any


def plain_numbers(node: Any) -> Any:
    """Replace numbers that JSON cannot hold (NaN, infinity) by None, at any depth."""
    if isinstance(node, float) and (node != node or node in (float("inf"), float("-inf"))):
        return None
    if isinstance(node, Mapping):
        return {key: plain_numbers(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [plain_numbers(value) for value in node]
    return node
