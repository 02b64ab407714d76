"""Attention that a module computes by products of its own, and how a prefix gets in there."""

import functools
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from intrinsic.layers.gated_prefix import GatedPrefix

_PRODUCTS = ("matmul", "__matmul__", "bmm", "baddbmm")


class _Products(TorchFunctionMode):
    """While a module attends: its first product is Q K^T, and the first one behind a softmax gets the prefix's share.

    Logits of the prefix are scaled by 1 / sqrt(head_dim), whatever the module's own are.
    """

    def __init__(self, prefix: GatedPrefix) -> None:
        super().__init__()
        self.prefix, self.query, self.weighed, self.shared = prefix, None, False, False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name == "scaled_dot_product_attention":
            return found + self._share(args[0] if args else kwargs["query"]).to(found.dtype)
        self.weighed |= name == "softmax"
        if name not in _PRODUCTS or self.shared:
            return found
        if self.query is None:
            self.query = kwargs.get("batch1", args[1] if name == "baddbmm" and len(args) > 1 else args[0])
        elif self.weighed:
            self.shared = True
            return found + self._share(self.query).to(found.dtype)
        return found

    def _share(self, query: Tensor) -> Tensor:
        if query.ndim == 4:
            return self.prefix(query)
        split = query.unflatten(0, (-1, self.prefix.heads))  # (n heads, tokens, head_dim), as torch.bmm takes them
        return self.prefix(split).flatten(0, 1)


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
