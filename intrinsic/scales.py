"""One learned scale for each layer's offset."""

from collections.abc import Sequence

from intrinsic.errors import UserError


def layers_of(names: Sequence[str], *, scales: str | None, dim: int, full_dim: int) -> list[int]:
    """The layer of each tensor, counted from 0: a layer is a module that owns tensors. Empty without scales.

    Raises:
        UserError: for other scales than "layer" and None, or if the layers leave no coordinate of `dim`.
    """
    if scales is None:
        return []
    if scales != "layer":
        raise UserError(f"need scales=layer or none, got scales={scales}")
    layers = [name.rpartition(".")[0] for name in names]
    distinct = list(dict.fromkeys(layers))
    if not len(distinct) < dim < full_dim:
        raise UserError(
            f"scales=layer takes {len(distinct)} of dim: need {len(distinct)} < dim < {full_dim}, got dim={dim}"
        )
    return [distinct.index(layer) for layer in layers]
