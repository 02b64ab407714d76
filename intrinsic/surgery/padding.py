"""Weights that torch gives no gradient: the rows of embeddings that stand for padding."""

from collections.abc import Sequence

from torch import nn


def padding_rows(model: nn.Module, names: Sequence[str]) -> list[tuple[int, int]]:
    """Rows of padding as stretches low ... high - 1 of the numbers of some of its parameters, one after the other.

    A row is one whether or not its weight is used elsewhere, too, as by a tied head.
    """
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
    found, start = set[tuple[int, int]](), 0
    for name in names:
        weight = model.get_parameter(name)
        for table in tables:
            if table.weight is weight and table.padding_idx is not None:
                low = start + int(table.padding_idx) * table.embedding_dim
                found.add((low, low + table.embedding_dim))
        start += weight.numel()
    return sorted(found)
