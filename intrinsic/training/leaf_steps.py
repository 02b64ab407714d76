"""Steps of z in a loop whose weights are leaves."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.autograd.graph import increment_version
from torch.optim import Optimizer

from intrinsic.subspace.leaves import Leaves
from intrinsic.surgery.torch_internals import has_stepped, version
from intrinsic.training.adam_state import AdamState
from intrinsic.training.optimizer_step import adam_state, optimizer_step

_MOST = 1 << 15  # coordinates, which one thread moves sooner than torch comes to it


class LeafSteps:
    """`leaves.move()`, `leaves.collect()` and a step of the optimiser, bit for bit, by one kernel where there is one.

    There is one for torch's fused Adam, if z is all that it moves, and not before its second step: the first makes its
    state. It is left out at a step in which a weight has no gradient, or one that lies in memory in another way.

    Args:
        leaves: the weights.
        optimizer: of their z.
    """

    def __init__(self, leaves: Leaves, optimizer: Optimizer) -> None:
        self.leaves, self._optimizer, self._z = leaves, optimizer, leaves.z
        self._at = -1  # the version of z that the kernel has left the weights at
        self._state: AdamState | None = None
        self._is_first = True
        self._find()

    def _find(self) -> None:
        state = adam_state(self._optimizer, self._z)
        if state is None or len(self._z) > _MOST:
            return
        self._g = torch.zeros_like(self._z, requires_grad=False)
        descend = self.leaves.descent(self._g, state.tensors)
        if descend is not None:
            self._state, self._descend = state, descend
            has_stepped(self._optimizer)  # for schedulers, which ask once
            self._changed = (self._z, self.leaves.whole, *state.tensors)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the model hold the weights meanwhile; afterwards z has the gradient of the last step."""
        with self.leaves.held():
            yield
        if self._at != -1:
            self._z.grad = self._g

    def move(self) -> None:
        """Have the weights be theta_0 + P z."""
        if self._at != version(self._z):
            self.leaves.move()

    def __call__(self) -> None:
        """Take a step by the gradients that a backward pass has left."""
        if self._state is not None and self._descended(self._state):
            return
        self._at = -1
        self.leaves.collect()
        optimizer_step(self._optimizer)
        if self._is_first:  # there is a state from now on
            self._is_first = False
            self._find()

    def _descended(self, state: AdamState) -> bool:
        pieces, settings = self.leaves.gradients(), state.settings()
        if pieces is None or settings is None or self._z.grad is not None:
            return False
        self._descend(pieces, settings)
        self.leaves.forget_gradients()
        increment_version(self._changed)
        self._at = version(self._z)
        return True
