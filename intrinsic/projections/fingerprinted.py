"""What tells one P from another."""

import hashlib
from typing import Any

import torch
from torch import Tensor

from intrinsic.errors import UserError
from intrinsic.projections.fixed_tensors import FixedTensors
from intrinsic.projections.tensor_versions import TensorVersions
from intrinsic.surgery.stable_name import StableName


class Fingerprinted(FixedTensors, StableName):
    """Fixed tensors, and a hash of them that goes into state dicts."""

    dim: int
    full_dim: int
    drawn = False  # whether P is in no tensor, but drawn from its seed in each product

    def __init__(self) -> None:
        super().__init__()
        self._fingerprints: dict[bool, tuple[str, TensorVersions]] = {}

    def fingerprint(self, *, bits: bool = True) -> str:
        """A hash of P: equal for equal matrices, on every device; 16 hexadecimal digits. Kept until P is written to.

        `bits=False`: that of older versions, which took the bits of P's signs, where `Dense` has them, for its seed's.
        """
        tensors = self.fixed_tensors().values()
        if bits not in self._fingerprints or not self._fingerprints[bits][1](tensors):
            self._fingerprints[bits] = self._hash(bits), TensorVersions(tensors)
        return self._fingerprints[bits][0]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_fingerprints": {}}  # a copy has other tensors, of which nothing is known yet

    def get_extra_state(self) -> Tensor:
        """The fingerprint, for state dicts: 8 bytes."""
        return torch.frombuffer(bytearray.fromhex(self.fingerprint()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Compare the fingerprint of a state dict.

        Raises:
            UserError: if it is another P, with which z would mean other weights.
        """
        found, own = bytes(state.tolist()).hex(), self.fingerprint()
        if found != own and found != self.fingerprint(bits=False):
            raise UserError(f"the state dict belongs to another P: its fingerprint is {found}, not {own}")

    def _hash(self, bits: bool) -> str:
        digest = hashlib.sha256(f"{self.stable_name} {self.dim} {self.full_dim}".encode())
        for name, tensor in self.all_fixed_tensors():
            if tensor.is_meta:
                raise UserError("P has no values on the meta device: make the net again on the device where it is used")
            array = tensor.detach().cpu().contiguous().numpy()
            digest.update(f" {name} {array.dtype.newbyteorder('<')} {array.shape} ".encode())
            digest.update(array.data)
        for name, part in self.named_modules() if bits else ():
            if part is not self and isinstance(part, Fingerprinted) and part.drawn:
                digest.update(f" {name} {part.fingerprint()}".encode())
        return digest.hexdigest()[:16]
