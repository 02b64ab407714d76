"""The check of how many layers a model may have."""

from intrinsic.errors import UserError

MOST = 10_000  # modules take kilobytes each, however few their weights are


def check_layers(depth: int, model: str) -> None:
    """Check that there are not absurdly many.

    Raises:
        UserError: if there are.
    """
    if depth > MOST:
        raise UserError(f"{model}: need depth <= {MOST}, got depth={depth}")
