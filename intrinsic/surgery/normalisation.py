"""Normalisation layers of any model."""

from collections.abc import Iterator

import torch
from torch import nn

from intrinsic.surgery.torch_internals import own_modules, own_parameters

KINDS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    *(nn.LayerNorm, nn.GroupNorm, nn.RMSNorm),
)
_FACTOR = 4  # of an input, which normalisation divides out
_CLOSE = 0.02  # of what it returns: eps, and the rounding of half precision


def normalisation_layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers with a scale that normalise, by name: those of torch, and others by what they do.

    Others have no modules and no buffers, one size for all their parameters, and return the same for an input and a
    multiple of it, and something else for another one: transformers' own of root mean squares, for one. A rectifier
    with a learned slope, or a learned scale alone, is none.
    """
    for name, module in model.named_modules():
        if isinstance(module, KINDS) or _normalises(module):
            yield name, module


def _normalises(module: nn.Module) -> bool:
    parameters = [parameter for parameter in own_parameters(module).values() if parameter is not None]
    shapes = {tuple(parameter.shape) for parameter in parameters}
    if len(shapes) != 1 or own_modules(module) or any(True for _ in module.buffers()):
        return False
    (shape,) = shapes
    if len(shape) != 1:
        return False
    sizes = (2, 3, *shape), (2, *shape, 3, 3)  # features last, or channels of images
    return any(_divides_out(module, torch.Size(size), parameters[0]) for size in sizes)


def _divides_out(module: nn.Module, size: torch.Size, like: nn.Parameter) -> bool:
    """Whether a module returns the same for an input of this size and a multiple of it."""
    x = torch.arange(1, 1 + size.numel(), device=like.device).square().mul(0.7).sin().view(size).to(like.dtype)
    try:
        with torch.no_grad():
            once, more, other = (module(each).double() for each in (x, _FACTOR * x, x.flip(-1)))
    except Exception:  # a layer of another kind, of which nothing is known
        return False
    scale = float(once.abs().max())
    if once.shape != x.shape or scale == 0:
        return False
    same, apart = (float((each - once).abs().max()) / scale for each in (more, other))
    return same < _CLOSE < apart
