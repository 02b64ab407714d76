"""Recurrent layers, which keep the weights of a call in themselves: one call at a time."""

import threading
from typing import Any

from torch import nn

from intrinsic.surgery.torch_internals import forward_hooks, remove_forward_hooks

_lock = threading.RLock()


def take_turns(model: nn.Module) -> None:
    """Let one thread at a time compute in a recurrent layer of the model.

    Torch's layers put what they find in their parameters' places into a list of their own, and read that.
    """
    for layer in _recurrent(model):
        if _enter not in forward_hooks(layer)[0].values():
            layer.register_forward_pre_hook(_enter, prepend=True)  # first, so that `_leave` never comes without it
            layer.register_forward_hook(_leave, always_call=True)


def take_no_turns(model: nn.Module) -> None:
    """Undo `take_turns`."""
    for layer in _recurrent(model):
        remove_forward_hooks(layer, (_enter, _leave))


def _recurrent(model: nn.Module) -> list[nn.RNNBase]:
    return [module for module in model.modules() if isinstance(module, nn.RNNBase)]


def _enter(layer: nn.Module, args: Any) -> None:
    _lock.acquire()


def _leave(layer: nn.Module, args: Any, output: Any) -> None:
    _lock.release()
