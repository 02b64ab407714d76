"""The hash of P's tensors, which need not all be there at once."""

import hashlib
from collections.abc import Iterable

import numpy as np
from torch import Tensor

from intrinsic.errors import UserError


class Digest:
    """A hash over a P's class, sizes and tensors, in the order of their names.

    Args:
        stable_name: of the class.
        dim: d.
        full_dim: D.
    """

    def __init__(self, stable_name: str, dim: int, full_dim: int) -> None:
        self._found = hashlib.sha256(f"{stable_name} {dim} {full_dim}".encode())

    def add(self, name: str, tensor: Tensor) -> None:
        """A tensor of P.

        Raises:
            UserError: if it has no values.
        """
        if tensor.is_meta:
            raise UserError("P has no values on the meta device: make the net again on the device where it is used")
        array = tensor.detach().cpu().contiguous().numpy()
        self.add_parts(name, array.dtype, array.shape, [array])

    def add_parts(self, name: str, dtype: np.dtype, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> None:
        """One of which the numbers come in parts, one after the other."""
        self._found.update(f" {name} {dtype.newbyteorder('<')} {shape} ".encode())
        for part in parts:
            self._found.update(np.ascontiguousarray(part).data)

    def add_drawn(self, name: str, fingerprint: str) -> None:
        """A part of P that is in no tensor."""
        self._found.update(f" {name} {fingerprint}".encode())

    def __str__(self) -> str:
        return self._found.hexdigest()[:16]
