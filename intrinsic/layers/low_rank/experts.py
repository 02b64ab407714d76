"""W_e + s B_e A_e of each expert in a mixture whose weights are one tensor."""

from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.layers.low_rank.base import LowRank, check_rank, kaiming
from intrinsic.surgery.added_module import AddedModule
from intrinsic.surgery.torch_internals import PARAMETERS, own_parameters


class LowRankExperts(LowRank):
    """Experts whose weight `parameter` is (experts, out, in): A (experts, r, in), B (experts, out, r).

    The module reads the tensor and calls nothing, so that a call is one of a shadow of it, with W + s B A there. Of
    several tensors of a module each has a wrapper, around the one before. Where the module says `is_transposed`, W is
    (experts, in, out). PEFT: `target_parameters`.

    Args:
        base: the module, or its wrapper for another tensor.
        parameter: the tensor's name in the module.
        rank: r of each expert.
        scaling: s.
        seed: of A.
        dropout: none, as there is no input to drop.
    """

    parameter: str

    def __init__(
        self, base: nn.Module, parameter: str, rank: int, scaling: float, seed: int, dropout: float = 0.0
    ) -> None:
        if dropout:
            raise UserError("dropout needs layers with inputs to drop, experts read their weights: leave them out")
        super().__init__(base, scaling, parameter=parameter)
        experts, outputs, inputs = self.target.shape
        if self._transposed:
            outputs, inputs = inputs, outputs
        self.room = check_rank(rank, outputs, inputs)
        A = kaiming(seed, experts * rank, inputs).view(experts, rank, inputs)
        self._hold(A, torch.zeros(experts, outputs, rank))

    @property
    def target(self) -> nn.Parameter:
        """W of all experts."""
        return own_parameters(self._experts)[self.parameter]  # type: ignore[return-value]

    @property
    def _experts(self) -> nn.Module:
        base = self.base
        while isinstance(base, LowRankExperts):
            base = base.base
        return base

    @property
    def _transposed(self) -> bool:
        return bool(getattr(self._experts, "is_transposed", False))

    def weights(self) -> dict[str, Tensor]:
        """What the experts compute with: by the tensor's name, of this wrapper and of those inside."""
        inner = self.base.weights() if isinstance(self.base, LowRankExperts) else {}
        return {**inner, self.parameter: self.weight}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the experts return with the updated weights."""
        base = self._experts
        shadow = object.__new__(type(base))  # of this call alone: concurrent ones have theirs
        shadow.__dict__ = {**vars(base), PARAMETERS: {**own_parameters(base), **self.weights()}}
        return shadow(*args, **kwargs)

    def delta(self) -> Tensor:
        """S B_e A_e for each expert, in the shape of the tensor."""
        delta = self.scaling * (self.lora_B @ self.lora_A)
        return delta.mT if self._transposed else delta


def expert_names(module: nn.Module) -> list[str]:
    """The tensors of a mixture of experts: two or more of three axes that a module owns, of one first axis.

    Torch's modules are none, nor are those that a space has put in, such as a prefix with its keys and values by heads.
    """
    if type(module).__module__.startswith("torch.nn.") or isinstance(module, AddedModule):
        return []
    cubes = {name: p for name, p in own_parameters(module).items() if p is not None and p.ndim == 3}
    sizes = {len(p) for p in cubes.values()}
    return list(cubes) if len(cubes) > 1 and len(sizes) == 1 and min(sizes) > 1 else []
