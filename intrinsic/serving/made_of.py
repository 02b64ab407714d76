"""What a bank keeps between calls, and what that is made of."""

from collections.abc import Iterable

from torch import nn

from intrinsic.projections.tensor_versions import TensorVersions
from intrinsic.subspace import Subspace


class MadeOf:
    """The numbers from which something was made, and whether somebody has written to them since.

    A copy or a pickle watches the numbers of the copied tasks.

    Args:
        base: whose buffers are among them.
        nets: tasks, whose theta_0, trained numbers and buffers are.
    """

    def __init__(self, base: nn.Module, nets: Iterable[Subspace]) -> None:
        self._base, self._nets = base, list(nets)
        tensors = list(base.buffers())
        for net in self._nets:
            tensors += [*net.parameters(), *net.model.buffers(), *map(net.model.get_parameter, net.coordinate_names)]
        self._tensors = [tensor for tensor in tensors if not tensor.is_inference()]  # of which torch counts nothing
        self._versions = TensorVersions(self._tensors)

    def has_changed(self) -> bool:
        """Whether it has to be made anew."""
        return not self._versions(self._tensors)

    def __reduce__(self) -> tuple[type, tuple[nn.Module, list[Subspace]]]:
        return MadeOf, (self._base, self._nets)
