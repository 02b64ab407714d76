"""The fingerprint of a model that no process has whole."""

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, nn

from intrinsic.projections.tensor_versions import TensorVersions
from intrinsic.subspace.fingerprint import fingerprint
from intrinsic.surgery.sharding import Mesh, local, whole


class ShardedFingerprint:
    """What `fingerprint` gives for the whole model: computed on the first process, from theta_0 tensor by tensor.

    All processes have to ask for it at the same time. It is kept until somebody writes to the model.

    Args:
        model: sharded.
        mesh: its processes.
        origins: this process's part of theta_0, by name, for those parameters that hold something else.
    """

    def __init__(self, model: nn.Module, mesh: Mesh, origins: Mapping[str, Tensor]) -> None:
        self._model, self._mesh, self._origins = model, mesh, origins
        self._frozen = [parameter for name, parameter in model.named_parameters() if name not in origins]
        self._unchanged = TensorVersions(self._tensors())
        self._kept: dict[tuple[bool, bool, int], str] = {}

    @torch.no_grad()
    def __call__(
        self, projection: Callable[[], str], trained: Collection[str], *, constants: bool, bits: bool, zero: int
    ) -> str:
        """See `fingerprint`; `projection` gives that of P, with so many zero stretches, on the first process."""
        key = constants, bits, zero
        if self._mesh.tell(str(int(self._unchanged(self._tensors())))) == "0":
            self._kept.clear()
            self._unchanged = TensorVersions(self._tensors())
        if key not in self._kept:
            of_projection = [""]
            self._mesh.on_first(lambda: of_projection.append(projection()))
            found = fingerprint(self._model, of_projection[-1], trained, constants=constants, values=self._values)
            self._kept[key] = self._mesh.tell(found)
        return self._kept[key]

    def _tensors(self) -> list[Tensor]:
        return [*self._frozen, *map(local, self._frozen)]  # each counts alone how often it was written to

    def _values(self, name: str, parameter: nn.Parameter) -> Tensor:
        found = whole(self._origins.get(name, local(parameter)), parameter)
        return found if self._mesh.is_first else found[:0]
