"""What tells one P from another."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from intrinsic.errors import UserError
from intrinsic.projections.digest import Digest
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
        digest = Digest(self.stable_name, self.dim, self.full_dim)
        for name, tensor in self.all_fixed_tensors():
            digest.add(name, tensor)
        for name, part in self.drawn_parts() if bits else ():
            if part is not self:
                digest.add_drawn(name, part.fingerprint())
        return str(digest)

    def drawn_parts(self, prefix: str = "") -> Iterator[tuple[str, "Fingerprinted"]]:
        """This and its parts, as far as they are in no tensor, with their names."""
        for name, part in self.named_modules(prefix=prefix):
            if isinstance(part, Fingerprinted) and part.drawn:
                yield name, part
