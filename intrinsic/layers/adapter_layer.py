"""A layer with a bottleneck behind it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intrinsic import rng
from intrinsic.checks import check_memory
from intrinsic.surgery.added_module import beside, wide_like
from intrinsic.surgery.torch_internals import remove_forward_hooks
from intrinsic.surgery.wrapper import Wrapper

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {  # each 0 at 0
    "gelu": F.gelu,
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}
_STD = 0.01  # Houlsby et al. 2019, section 3.2


class AdapterLayer(Wrapper):
    """h + U f(D h + a) + b for h = base(x): D (bottleneck, width) starts N(0, 0.01^2), the rest 0.

    Source: Houlsby et al. 2019, arXiv:1902.00751,
    section 2.1. U is zero here, near zero there.

    Args:
        like: a tensor of the dtype and on the device that the parameters get; float32 instead of half precision.
    """

    stable_name = "Adapted"

    def __init__(
        self, base: nn.Module, width: int, bottleneck: int, activation: str, *, like: Tensor, seed: int
    ) -> None:
        super().__init__(base, activation=activation, narrow=like.dtype)
        like = wide_like(like)
        check_memory(2 * like.element_size() * bottleneck * width, f"an adapter of {bottleneck=}")
        down = torch.from_numpy(rng.normals(seed, bottleneck * width)).view(bottleneck, width)
        self.adapter_down = nn.Parameter((_STD * down).to(like))
        self.adapter_down_bias = nn.Parameter(like.new_zeros(bottleneck))
        self.adapter_up = nn.Parameter(like.new_zeros(width, bottleneck))
        self.adapter_up_bias = nn.Parameter(like.new_zeros(width))

    def take_over(self) -> None:
        """Take the base's place, with a hook: nn.TransformerEncoderLayer reads the weights of layers without any.

        In evaluation, past all that is not in a weight.
        """
        super().take_over()
        self.register_forward_hook(_unchanged)

    def release(self) -> None:
        """Give the place back."""
        remove_forward_hooks(self, (_unchanged,))
        super().release()

    def constants(self) -> dict[str, Any]:
        """Which f."""
        return {"activation": self.activation}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the base returns, (..., width), and the bottleneck's share of it; of a tuple, of its first."""
        out = self.base(*args, **kwargs)
        return (self._after(out[0]), *out[1:]) if isinstance(out, tuple) else self._after(out)

    def _after(self, h: Tensor) -> Tensor:
        D, a, U, b = (
            beside(number, h)
            for number in (self.adapter_down, self.adapter_down_bias, self.adapter_up, self.adapter_up_bias)
        )
        share = F.linear(ACTIVATIONS[self.activation](F.linear(h, D, a)), U, b)
        return h + share.to(h.dtype)


def _unchanged(layer: nn.Module, args: Any, out: Any) -> None:
    """A hook that does nothing."""
