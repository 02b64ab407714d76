"""What others hand in, checked in one line."""

from typing import Any

from torch import nn

from intrinsic.errors import UserError


def check_module(model: Any) -> None:
    """Check that a model is one.

    Raises:
        UserError: for any other object.
    """
    if not isinstance(model, nn.Module):
        raise UserError(f"need a torch.nn.Module as model, got {type(model).__name__}")
