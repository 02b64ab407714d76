"""The rules of what a projection is and keeps: each is a function of what makes one, make(dim, full_dim, seed=...)."""

import copy
import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intrinsic.errors import UserError
from intrinsic.projections.base import Projection
from intrinsic.projections.fixed_tensors import FixedTensors
from intrinsic.projections.identity import Identity
from intrinsic.surgery.torch_internals import EXTRA_STATE
from intrinsic.testing.contract_error import expect
from intrinsic.testing.projection_draws import Make, each, fitting

UNFIT = (0, -1, 11, 2.0, "3", True, None)  # as a dim of 10 weights


def unfit_dims(make: Make) -> None:
    """A dim that is no integer from 1 to full_dim is refused by a UserError."""
    for dim in UNFIT:
        try:
            made = make(dim, 10, seed=0)
        except UserError:
            continue
        expect(False, made, "need 0 < dim <= full_dim, or a UserError", f"dim={dim!r} of 10 weights was taken")


def seed(make: Make) -> None:
    """P is a function of (dim, full_dim, seed, options): global random states and threads have no part in it."""
    size = fitting(make)
    with _global_state():
        before = _random_state()
        first = make(*size, seed=4)
        rule = "global random states stay as they are"
        expect(_random_state() == before, first, rule, "making one has drawn from them")
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002  # what a projection must not draw from
        random.seed(1)
        torch.set_num_threads(1)
        second = make(*size, seed=4)
    mine, other = first.fixed_tensors(), second.fixed_tensors()
    same = mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)
    z = torch.linspace(-1, 1, size[0])
    same &= first.fingerprint() == second.fingerprint() and torch.equal(first(z), second(z))
    expect(same, first, "the same seed gives the same bits", "two draws of seed=4 differ")
    expect(torch.equal(first(z), first(z)), first, "a product has the same bits each time", "two of them differ")
    if not isinstance(first, Identity):
        others = make(*size, seed=5), make(size[0] - 1, size[1], seed=4)
        for third, what in zip(others, ("seed", "dim"), strict=True):
            found = f"{third} has the same one: {first.fingerprint()}"
            expect(third.fingerprint() != first.fingerprint(), first, f"another {what} has another fingerprint", found)


def memory(make: Make) -> None:
    """`plan` knows the bytes that P holds, but for a random count of entries, and each tensor is kept by `_store`."""
    for projection in each(make):
        kept = projection.fixed_tensors()
        loose = ", ".join(_loose(projection, kept))
        rule = "a tensor of P is kept by self._store, which takes it to devices and fingerprints"
        expect(not loose, projection, rule, f"{loose} is an attribute of its own")
        held, planned = sum(tensor.nbytes for tensor in kept.values()), projection.nbytes
        most = planned + 20 * planned**0.5  # entries of 16 bytes whose count varies by its root, five deviations
        found = f"it holds {held:,}, plan says {planned:,}"
        expect(held <= most, projection, "plan says how many bytes P holds", found)
        names = [name for name, _ in (*projection.named_parameters(), *projection.named_buffers())]
        names += [name for name in projection.state_dict() if not name.endswith(EXTRA_STATE)]
        found = f"it has {', '.join(names)}"
        expect(not names, projection, "P has no parameters and no buffers: state dicts hold its fingerprint", found)


def copies(make: Make) -> None:
    """A deep copy and a pickle are the same P, a state dict fits it, and that of another P does not."""
    size = fitting(make)
    projection, z = make(*size, seed=0), torch.linspace(-1, 1, size[0])
    pickled = pickle.loads(pickle.dumps(projection))  # noqa: S301  # of this process
    for copied, what in ((copy.deepcopy(projection), "a deep copy"), (pickled, "a pickle")):
        same = torch.equal(copied(z), projection(z)) and copied.fingerprint() == projection.fingerprint()
        expect(same, projection, "copies are the same P", f"{what} is not")
    projection.load_state_dict(make(*size, seed=0).state_dict())
    if not isinstance(projection, Identity):
        try:
            projection.load_state_dict(make(*size, seed=1).state_dict())
        except UserError:
            return
        expect(False, projection, "the state dict of another P is refused", "that of seed=1 was loaded")


def _loose(projection: Projection, kept: dict[str, Tensor]) -> Iterator[str]:
    """Attributes that hold tensors or arrays beside those that are kept."""
    known = {id(tensor) for tensor in kept.values()}
    for module in projection.modules():
        for name, value in vars(module).items() if isinstance(module, FixedTensors) else ():
            items: Any = value.values() if isinstance(value, dict) else value
            for item in items if isinstance(value, list | tuple | dict) else (value,):
                if isinstance(item, Tensor | np.ndarray) and id(item) not in known:
                    yield name


def _random_state() -> tuple[bytes, ...]:
    return tuple(
        pickle.dumps(state)
        for state in (torch.get_rng_state().tolist(), np.random.get_state(), random.getstate())  # noqa: NPY002
    )


@contextmanager
def _global_state() -> Iterator[None]:
    """Put back random states and the number of threads."""
    states, threads = (torch.get_rng_state(), np.random.get_state(), random.getstate()), torch.get_num_threads()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
        torch.set_num_threads(threads)
