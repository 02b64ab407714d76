"""Embeddings of virtual tokens, run through a model before the text is."""

import threading
from collections.abc import Hashable
from typing import Any, Self

import torch
from torch import Tensor, nn

from intrinsic.surgery.added_module import AddedModule, wide_like

Pair = tuple[Tensor, Tensor]


class _Runs:
    """What belongs to calls that are under way, by thread: a copy of it, or a pickle, has none."""

    def __init__(self) -> None:
        self.running: dict[int, dict[Hashable, list[Pair]]] = {}
        self.done: dict[int, dict[Hashable, Pair]] = {}
        self.last: dict[Hashable, Pair] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()


class PromptTokens(AddedModule):
    """p embeddings (length, width), which a module that reads tokens reads by themselves at the start of its calls.

    The layers that attend keep the keys and values that they make of them (see `PromptShare`). The prompt runs as one
    text, without dropout and on none but itself. In a backward pass that runs layers again (activation checkpointing)
    they have those of the last call.

    Args:
        start: the embeddings at the start, (length, width), as the model's table of tokens gives them.
        token: the number of any token that the model takes for one of the text.
        keyword: by which the module takes tokens; None: as its first argument.
    """

    def __init__(self, start: Tensor, *, token: int, keyword: str | None) -> None:
        super().__init__()
        self.narrow, self.token, self.keyword = start.dtype, token, keyword
        self.embeddings = nn.Parameter(start.detach().to(wide_like(start), copy=True))
        self._runs = _Runs()

    def attach(self, reader: nn.Module, table: nn.Module) -> None:
        """Run at the start of calls of `reader`, in the place of what `table` gives for its tokens."""
        table.prompt = self
        table.register_forward_hook(self.replace)
        reader.register_forward_pre_hook(self.start)
        reader.register_forward_hook(self.end, always_call=True)

    @property
    def hooks(self) -> tuple[Any, ...]:
        """What `attach` has put on modules."""
        return self.replace, self.start, self.end

    def run(self, reader: nn.Module) -> dict[Hashable, list[Pair]]:
        """The keys and values that its layers make of the prompt, a pair for each call of them."""
        tokens = torch.full((1, len(self.embeddings)), self.token, device=self.embeddings.device)
        training = [module for module in reader.modules() if module.training]
        here = threading.get_ident()
        found: dict[Hashable, list[Pair]] = {}
        self._runs.running[here] = found
        try:
            for module in training:
                module.training = False
            if self.keyword is None:
                reader.forward(tokens)
            else:
                reader.forward(**{self.keyword: tokens})
        finally:
            del self._runs.running[here]
            for module in training:
                module.training = True
        return found

    def start(self, reader: nn.Module, args: Any) -> None:
        """Before a call of the reader: run the prompt."""
        here = threading.get_ident()
        if here not in self._runs.running:
            self._runs.done[here] = {
                layer: (torch.cat([k for k, _ in pairs], -2), torch.cat([v for _, v in pairs], -2))
                for layer, pairs in self.run(reader).items()
            }

    def end(self, reader: nn.Module, args: Any, out: Any) -> None:
        """After it: let go of what was kept."""
        here = threading.get_ident()
        if here not in self._runs.running:
            done = self._runs.done.pop(here, {})
            self._runs.last = done if torch.is_grad_enabled() else {}

    def replace(self, table: nn.Module, args: Any, out: Tensor) -> Tensor | None:
        """While the prompt runs: its embeddings, instead of those of tokens."""
        if threading.get_ident() not in self._runs.running:
            return None
        return self.embeddings.to(out.dtype)[None]

    def keep(self, layer: Hashable, key: Tensor, value: Tensor) -> bool:
        """Keep what a layer makes of the prompt, (1, kv_heads, length, head_dim); False if it is not the prompt."""
        found = self._runs.running.get(threading.get_ident())
        if found is None:
            return False
        found.setdefault(layer, []).append((key[0], value[0]))
        return True

    def kept(self, layer: Hashable) -> Pair | None:
        """What was kept for a layer, each (kv_heads, length, head_dim); None outside of the reader's calls."""
        return self._runs.done.get(threading.get_ident(), self._runs.last).get(layer)
