"""Layers, recurrent ones above all, that keep the weights of a call in themselves: one call at a time."""

import threading
from typing import Any

from torch import nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from intrinsic.surgery.torch_internals import forward_hooks, remove_forward_hooks

_lock = threading.RLock()


def take_turns(model: nn.Module) -> None:
    """Let one thread at a time compute in a layer of the model that keeps the weights of a call.

    Torch's recurrent layers put what they find in their parameters' places into a list of their own, and read that; its
    hooks of weight_norm, spectral_norm and prune set the layer's weight to what they compute from there.
    """
    for layer in _keeping(model):
        if _enter not in forward_hooks(layer)[0].values():
            layer.register_forward_pre_hook(_enter, prepend=True)  # first, so that `_leave` never comes without it
            layer.register_forward_hook(_leave, always_call=True)


def take_no_turns(model: nn.Module) -> None:
    """Undo `take_turns`."""
    for layer in _keeping(model):
        remove_forward_hooks(layer, (_enter, _leave))


def _keeping(model: nn.Module) -> list[nn.Module]:
    hooks = (WeightNorm, SpectralNorm, BasePruningMethod)
    return [
        module
        for module in model.modules()
        if isinstance(module, nn.RNNBase) or any(isinstance(hook, hooks) for hook in forward_hooks(module)[0].values())
    ]


def _enter(layer: nn.Module, args: Any) -> None:
    _lock.acquire()


def _leave(layer: nn.Module, args: Any, output: Any) -> None:
    _lock.release()
