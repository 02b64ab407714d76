"""The size of a model of transformers, before it is made."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from intrinsic.checks import check_memory
from intrinsic.errors import UserError

PARTS = 50_000


def check_size(auto: Any, config: Any, folder: str) -> None:
    """Build the model without memory for its weights, to see whether there is enough.

    Raises:
        UserError: for weights and buffers, as float32, beyond the memory at hand, or for too many modules and tensors.
    """
    with torch.random.fork_rng(devices=[]), _few_parts(folder), torch.device("meta"):
        model = auto.from_config(config, dtype=torch.float32, trust_remote_code=False)
    check_memory(sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers())), folder)


@contextmanager
def _few_parts(folder: str) -> Iterator[None]:
    """Stop this thread at more than `PARTS`, modules and tensors: each takes a kilobyte without any weights."""
    made, thread = 0, threading.get_ident()

    def count(module: nn.Module, name: str, child: nn.Module | Tensor | None) -> None:
        nonlocal made
        made += threading.get_ident() == thread
        if made > PARTS:
            raise UserError(f"{folder} has more than {PARTS} modules and tensors: need fewer layers in its config.json")

    with ExitStack() as stack:
        stack.callback(hooks.register_module_module_registration_hook(count).remove)
        stack.callback(hooks.register_module_parameter_registration_hook(count).remove)
        yield
