"""Where P is drawn."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

LEAST = 1 << 20  # weights below which the CPU has drawn them before a GPU has started
_MOST = 2**31 - 1  # numbers that torch sorts on a GPU
_WHERE: ContextVar[tuple[torch.device, int] | None] = ContextVar("where", default=None)


@contextmanager
def draw_on(device: torch.device, *, least: int | None = None) -> Iterator[None]:
    """Let projections of `least` weights that are made meanwhile be drawn on this device by torch: the same bits.

    None: those that are large, if it is a GPU.
    """
    token = _WHERE.set((device, (LEAST if device.type == "cuda" else _MOST + 1) if least is None else least))
    try:
        yield
    finally:
        _WHERE.reset(token)


def draw_there(full_dim: int, draw: Callable[[torch.device], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What `draw` gives on the device that `draw_on` has named.

    Nothing if it has named none, if full_dim is smaller than it says or 2^31 or more, or, with a warning, if P does not
    fit into the device's memory while it is drawn: numpy draws then.
    """
    device, least = _WHERE.get() or (None, 0)
    if device is None or not least <= full_dim <= _MOST:
        return {}
    try:
        with torch.inference_mode(False), torch.no_grad():
            return draw(device)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        text = f"P of {full_dim} weights is drawn on the CPU: it does not fit into the memory of {device} meanwhile"
        warnings.warn(text, RuntimeWarning, stacklevel=3)
        return {}
