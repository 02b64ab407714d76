"""Models that are sharded over processes by FSDP2, `torch.distributed.fsdp.fully_shard`: what this project asks them.

A parameter is a DTensor then: each process has a stretch of its rows, those of its first axis. Nothing here is imported
by who has no such model.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.errors import UserError


def is_sharded(tensor: Any) -> bool:
    """Whether a tensor is a DTensor."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def holds_shards(model: nn.Module) -> bool:
    """Whether `fully_shard` was called on a part of a model, or a parameter is a DTensor for another reason."""
    known = "torch.distributed.tensor" in sys.modules
    return known and (bool(sharded_modules(model)) or any(map(is_sharded, model.parameters())))


def is_fsdp(module: nn.Module) -> bool:
    """Whether `fully_shard` was called on a module."""
    return isinstance(module, getattr(sys.modules.get("torch.distributed.fsdp"), "FSDPModule", ()))


def sharded_modules(model: nn.Module) -> list[Any]:
    """The modules that `fully_shard` was called on."""
    return list(filter(is_fsdp, model.modules()))


def reshard(model: nn.Module) -> None:
    """Let go of gathered parameters, so that the next call gathers them anew."""
    for part in sharded_modules(model):
        part.reshard()


def local(tensor: Any) -> Tensor:
    """What this process has of a tensor: all of it if it is not sharded. Without autograd."""
    with torch.no_grad():
        found: Tensor = tensor.to_local() if is_sharded(tensor) else tensor.detach()
    return found


def is_by_rows(tensor: Any) -> bool:
    """Whether a DTensor is cut by its rows along one axis of its mesh, and equal along the others, as FSDP2 has it."""
    from torch.distributed.tensor import Replicate, Shard

    cut = [placement for placement in tensor.placements if type(placement) is not Replicate]
    return len(cut) == 1 and type(cut[0]) is Shard and cut[0].dim == 0


def bounds(tensor: Any) -> tuple[int, int]:
    """Which of a tensor's numbers, in their flat order, this process has: from the first to before the second."""
    if not is_sharded(tensor):
        return 0, tensor.numel()
    axis = _cut_axis(tensor)
    rows, processes = tensor.shape[0], tensor.device_mesh.size(axis)
    step, width = -(-rows // processes), tensor.numel() // max(1, rows)
    low = min(step * tensor.device_mesh.get_local_rank(axis), rows)
    return low * width, min(low + step, rows) * width


def whole(part: Tensor, like: Any) -> Tensor:
    """The tensor of which every process has given its part, cut as `like` is. All processes have to call it."""
    if not is_sharded(like):
        return part
    from torch.distributed.tensor import DTensor

    found: Tensor = DTensor.from_local(
        part, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    ).full_tensor()
    return found


class Mesh:
    """The processes among which a model is sharded: those that share it, and copies of these (HSDP).

    Args:
        like: one of the model's parameters, a DTensor.
    """

    def __init__(self, like: Any) -> None:
        self._mesh, self._cut = like.device_mesh, _cut_axis(like)
        self.shards, self._device = int(self._mesh.size(self._cut)), like.device

    @property
    def is_first(self) -> bool:
        """Whether this is the first process of all."""
        return not any(self._mesh.get_coordinate() or ())

    def sum(self, x: Tensor, *, copies: bool) -> Tensor:
        """Sum x, in place, over the processes that share the model; with `copies`, the mean of these sums."""
        import torch.distributed as distributed

        for axis in range(self._mesh.ndim):
            if axis == self._cut or copies:
                distributed.all_reduce(x, group=self._mesh.get_group(axis))
            if axis != self._cut and copies:
                x /= self._mesh.size(axis)
        return x

    def tell(self, text: str) -> str:
        """The text that the first process has: on all, of which each has one of the same length, in ASCII."""
        import torch.distributed as distributed

        told = torch.tensor(list(text.encode()), device=self._device) * int(self.is_first)
        for axis in range(self._mesh.ndim):
            distributed.all_reduce(told, group=self._mesh.get_group(axis))
        return bytes(told.tolist()).decode()

    def on_first(self, do: Callable[[], None]) -> None:
        """Do something on the first process, while the others wait.

        Raises:
            UserError: on the others, if anything was raised there.
        """
        failure: Exception | None = None
        try:
            if self.is_first:
                do()
        except Exception as error:
            failure = error
        failed = self.tell(str(int(failure is not None))) == "1"
        if failure is not None:
            raise failure
        if failed:
            raise UserError("the first process could not do what all need, and has said why")


def _cut_axis(tensor: Any) -> int:
    from torch.distributed.tensor import Replicate

    return next(axis for axis, placement in enumerate(tensor.placements) if type(placement) is not Replicate)
