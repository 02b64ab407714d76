"""Attention that a module computes by products of its own, and how a prefix gets in there."""

import functools
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from intrinsic.layers.gated_prefix import GatedPrefix

_OPERANDS = {"bmm": ("input", "mat2"), "baddbmm": ("batch1", "batch2")}  # as torch calls them; others: input, other
_PRODUCTS = ("matmul", "__matmul__", "bmm", "baddbmm")


class _Products(TorchFunctionMode):
    """While a module attends: its first product is Q K^T, and the first one behind a softmax gets the prefix's share.

    Logits of the prefix are scaled by 1 / sqrt(head_dim), whatever the module's own are.
    """

    def __init__(self, prefix: GatedPrefix) -> None:
        super().__init__()
        self.prefix, self.weighed, self.shared = prefix, False, False
        self.pair: tuple[Tensor, Tensor] | None = None  # queries and keys

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name == "scaled_dot_product_attention":
            given = dict(zip(("query", "key", "value"), args, strict=False)) | kwargs
            return self._with_share(found, given["query"], given["key"], given["value"])
        self.weighed |= name == "softmax"
        if name not in _PRODUCTS or self.shared:
            return found
        first = 1 if name == "baddbmm" else 0  # behind what is added
        rest = iter(args[first:])
        left, right = (kwargs[key] if key in kwargs else next(rest) for key in _OPERANDS.get(name, ("input", "other")))
        if self.pair is None:
            self.pair = left, right.mT
        elif self.weighed:
            self.shared = True
            return self._with_share(found, *self.pair, right)
        return found

    def _with_share(self, found: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if query.ndim == 4:
            share = self.prefix.share(query, key, value)
        else:  # (n heads, tokens, head_dim), as torch.bmm takes them
            query, key, value = (each.unflatten(0, (-1, self.prefix.heads)) for each in (query, key, value))
            share = self.prefix.share(query, key, value)
            share = None if share is None else share.flatten(0, 1)
        return found if share is None else found + share.to(found.dtype)


def take_products(module: nn.Module) -> None:
    """Let a module's attention take the share of its `prefix`; its class keeps its name."""
    module.__class__ = _sharing(type(module))  # type: ignore[arg-type]  # a class is hashable


def leave_products(module: nn.Module) -> None:
    """Give the module the class that it had."""
    module.__class__ = type(module).__mro__[1]


def takes_products(module: nn.Module) -> bool:
    """Whether `take_products` was called."""
    return "attends_by_products" in vars(type(module))


@functools.cache
def _sharing(kind: type[nn.Module]) -> type[nn.Module]:
    @functools.wraps(kind.forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _Products(self.prefix):
            return kind.forward(self, *args, **kwargs)

    return type(
        kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__, "attends_by_products": True}
    )
