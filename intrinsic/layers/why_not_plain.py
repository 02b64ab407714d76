"""Layers that do not compute what their kind computes from a weight of their own."""

import torch
from torch import nn
from torch.nn import functional as F

from intrinsic.layers.int8 import Int8
from intrinsic.surgery.torch_internals import CONV_FORWARD, own_parameters
from intrinsic.surgery.wrapper import forward_was_set


def why_not_plain(base: nn.Module, kind: type[nn.Module], *weights: str) -> str | None:
    """What a layer has, so that to change these weights is not to change it as others of its kind; None: nothing."""
    if isinstance(base, Int8):
        return None
    if _differs(base, kind):
        return "a forward of its own"
    for weight in weights:
        if own_parameters(base).get(weight) is None:
            return f"a {weight} that is computed from other numbers (weight_norm, spectral_norm, prune, parametrize)"
    return None


def _differs(base: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a layer computes in another way than its kind: by its class, or a forward that was set on it."""
    methods = [name for name in ("forward", "__call__", CONV_FORWARD) if hasattr(kind, name)]
    if forward_was_set(base):
        return True
    return any(getattr(type(base), name) is not getattr(kind, name) for name in methods) and not _is_linear(base)


@torch.no_grad()
def _is_linear(base: nn.Module) -> bool:
    """Whether a kind of nn.Linear with a forward of its own returns W x + b after all, as Falcon's does."""
    if not isinstance(base, nn.Linear) or not own_parameters(base).keys() <= {"weight", "bias"} or any(base.buffers()):
        return False
    weight, bias = base.weight, base.bias
    if any(True for _ in base.children()) or weight.is_meta or not weight.is_floating_point():
        return False
    x = torch.arange(1, 1 + 2 * base.in_features, device=weight.device).square().mul(0.7).sin()
    x = x.view(2, base.in_features).to(weight.dtype)
    try:
        found, expected = type(base).forward(base, x), F.linear(x, weight, bias)
    except Exception:  # other people's code, on an input that it may not expect
        return False
    close = 16 * torch.finfo(weight.dtype).eps * float(expected.abs().max())  # the rounding of a sum of products
    return found.shape == expected.shape and float((found - expected).abs().max()) <= close
