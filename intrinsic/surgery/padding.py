"""Weights that torch gives no gradient: the rows of embeddings that stand for padding."""

from collections.abc import Sequence

from torch import nn

from intrinsic.surgery.torch_internals import own_parameters


def padding_rows(model: nn.Module, names: Sequence[str]) -> list[tuple[int, int]]:
    """Rows of padding as stretches low ... high - 1 of the numbers of some of its parameters, one after the other.

    A row is one whether or not its weight is used elsewhere, too, as by a tied head. A bag leaves padding out.
    """
    rows: dict[int, set[int]] = {}
    for table in model.modules():
        if isinstance(table, nn.Embedding) and table.padding_idx is not None:
            rows.setdefault(id(own_parameters(table).get("weight")), set()).add(table.padding_idx)
    found, start = [], 0
    for name in names:
        weight = model.get_parameter(name)
        for row in sorted({row % len(weight) for row in rows.get(id(weight), ())}):
            width = weight[0].numel()
            found.append((start + row * width, start + (row + 1) * width))
        start += weight.numel()
    return found
