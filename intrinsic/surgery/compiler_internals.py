"""What torch's compiler keeps to itself: see `torch_internals`."""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import nn


def is_compiled(model: nn.Module) -> bool:
    """Whether torch.compile has made something of a module of the model."""
    made = getattr(sys.modules.get("torch._dynamo.eval_frame"), "OptimizedModule", ())
    return any(isinstance(each, made) or each._compiled_call_impl is not None for each in model.modules())


class _CompilerLater(ModuleType):
    """In the place of torch._dynamo: does what that does where nothing is compiled, which is nothing; becomes it."""

    def __init__(self) -> None:
        super().__init__("torch._dynamo")
        self.__spec__, self.functions = find_spec(self.__name__), list[Callable[..., Any]]()

    def graph_break(self) -> None:
        """Cut what is being compiled."""

    def disable(self, function: Callable[..., Any], *_: Any, **_options: Any) -> Callable[..., Any]:
        """Mark what shall not be compiled; torch keeps the answer with the function."""
        self.functions.append(function)
        return function

    def __getattr__(self, name: str) -> Any:
        """Import the compiler, which shall be asked again."""
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__], torch._dynamo
            for function in self.functions:
                vars(function).pop("__dynamo_disable", None)
        return getattr(import_module(self.__name__), name)


def import_compiler_later() -> None:
    """Let optimisers train without importing torch's compiler: 1.5 to 2 s, most of what the start of a run takes."""
    if "torch._dynamo" not in sys.modules:
        torch._dynamo = sys.modules["torch._dynamo"] = _CompilerLater()
