"""The tensors of a stranger's adapter, checked as they are taken."""

from torch import Tensor

from intrinsic.errors import UserError


def take_numbers(tensors: dict[str, Tensor], key: str, ndim: int, folder: object) -> Tensor:
    """Take floating-point numbers of so many axes away from the tensors of an adapter.

    Raises:
        UserError: if they are not there, of other axes, or of another kind, which a product would not refuse.
    """
    found = tensors.pop(key, None)
    if found is None or found.ndim != ndim or not found.is_floating_point():
        held = "nothing" if found is None else f"{tuple(found.shape)} {found.dtype}"
        raise UserError(
            f"{folder} holds {held} as {key}, need floating-point numbers with axes {ndim}: write it with PEFT's "
            "save_pretrained"
        )
    return found
