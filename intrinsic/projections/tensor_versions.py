"""A check whether somebody has written to tensors."""

import weakref
from collections.abc import Iterable

from torch import Tensor

from intrinsic.surgery.torch_internals import version


class TensorVersions:
    """Whether tensors are the same ones as before, with the same numbers, as far as torch counts what is written.

    A copy or a pickle has seen none.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._seen = [(weakref.ref(tensor), _counted(tensor)) for tensor in tensors]

    def __call__(self, tensors: Iterable[Tensor]) -> bool:
        """Compare other tensors with those of before."""
        now = list(tensors)
        return len(now) == len(self._seen) and all(
            before() is tensor and version is not None and version == _counted(tensor)
            for tensor, (before, version) in zip(now, self._seen, strict=True)
        )

    def __reduce__(self) -> tuple[type, tuple[tuple[()]]]:
        return TensorVersions, ((),)


def _counted(tensor: Tensor) -> int | None:
    return None if tensor.is_inference() else version(tensor)
