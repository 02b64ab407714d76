"""Room for tensors side by side."""

from collections.abc import Sequence

from torch import Tensor


class Buffer:
    """`whole`, (numbers of all tensors,), and `views` of it, one of each tensor's shape; not filled.

    Args:
        tensors: of one dtype, on one device.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        sizes = [tensor.numel() for tensor in tensors]
        self.whole = tensors[0].detach().new_empty(sum(sizes))
        pieces = self.whole.split(sizes)
        self.views = [piece.view(tensor.shape) for piece, tensor in zip(pieces, tensors, strict=True)]

    def fits(self, tensors: Sequence[Tensor]) -> bool:
        """Whether these are as many tensors of the same dtype on the same device."""
        dtype, device = self.whole.dtype, self.whole.device
        return len(tensors) == len(self.views) and all(
            tensor.dtype == dtype and tensor.device == device for tensor in tensors
        )
