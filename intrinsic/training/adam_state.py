"""What Adam keeps of one tensor."""

from typing import Any, NamedTuple

from torch import Tensor


class AdamState(NamedTuple):
    """Of a plain Adam, with neither weight decay nor AMSGrad when it was asked."""

    group: dict[str, Any]  # lr, betas, eps and the rest
    first: Tensor  # m
    second: Tensor  # v
    steps: Tensor  # t

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """All that a step changes beside the tensor itself."""
        return self.first, self.second, self.steps

    def settings(self) -> tuple[float, float, float, float] | None:
        """lr, beta1, beta2 and eps, as schedulers have left them; None if a step is not plain any more."""
        group = self.group
        lr, (beta1, beta2), eps = group["lr"], group["betas"], group["eps"]
        floats = isinstance(lr, float) and isinstance(beta1, float) and isinstance(beta2, float)
        plain = not (group["weight_decay"] or group["amsgrad"] or group["maximize"])
        return (lr, beta1, beta2, eps) if floats and plain else None
