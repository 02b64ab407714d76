"""A subspace that is drawn anew while it is trained."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from intrinsic import rng
from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.projections.base import Projection
from intrinsic.projections.device_draws.draw_on import draw_on
from intrinsic.projections.granularity import Granularity
from intrinsic.projections.identity import Identity
from intrinsic.projections.tensor_versions import TensorVersions
from intrinsic.spaces.base import Space
from intrinsic.subspace.fingerprint import fingerprint
from intrinsic.subspace.subspace import Subspace
from intrinsic.surgery.as_it_was import as_it_was
from intrinsic.surgery.head import HeadMode


class Redrawn(Subspace):
    """theta = theta_0 + P_0 z_0 + P_1 z_1 + ... + P_n z, where z alone is trained, and P_n is random and of its own.

    `redraw` moves theta_0 by P z, sets z to 0 and draws the next P: each is a function of the seed and its number.
    `intrinsic.training.fit` does so every `every` steps; a loop of your own calls `after_step` or `redraw`. What is
    stored is the list of all z, from which `intrinsic.load` walks the whole way again: n draws of P.

    With every = 1 this is random bases descent (Gressmann, Eaton-Rosen, Luschi 2020, arXiv:2011.04720).

    Memory: the weights as they were, beside those that have moved; the list of z.

    Args:
        model: any module in float32 or more; its weights move, until `unwrap`.
        every: steps from one P to the next.
        optimizer: what becomes of an optimiser's state of z, such as Adam's moments, which was of another P: "reset",
            or "keep".
        space: of `Subspace`, as are projection, dim, granularity, head, stream, seed and projection_seed.
        scales: None.

    Raises:
        UserError: if the arguments do not fit each other or the model; the model is then as it was.

    Examples:
        >>> import torch, intrinsic
        >>> net = intrinsic.Redrawn(torch.nn.Linear(20, 5), every=10, projection=intrinsic.OneHot, dim=3)
        >>> net.redraw()
        >>> net.number, net.past.shape
        (1, torch.Size([1, 3]))
    """

    moves_base = True
    number = 0  # of redraws so far
    past: Tensor  # (number, dim): z at each of them
    _home: dict[str, Tensor] | None = None  # the weights before the first of them
    _first = ""  # the fingerprint of P of that time
    _arrived = TensorVersions(())  # the weights after the last of them

    def __init__(
        self,
        model: nn.Module,
        *,
        every: int,
        projection: Callable[..., Projection] = Identity,
        dim: int | None = None,
        optimizer: Literal["reset", "keep"] = "reset",
        space: Space | None = None,
        granularity: Granularity = "global",
        scales: Literal["layer"] | None = None,
        head: HeadMode | None = None,
        stream: bool = False,
        seed: int = 0,
        projection_seed: int | None = None,
    ) -> None:
        self.check(every, optimizer)
        with as_it_was(model), ExitStack() as undo:
            super().__init__(
                model, space=space, projection=projection, dim=dim, granularity=granularity, scales=scales, head=head,
                stream=stream, seed=seed, projection_seed=projection_seed,
            )  # fmt: skip
            undo.callback(self.unwrap)
            self._check_kind()
            self.every, self.optimizer = integer("redraw", every, 1), optimizer
            self.register_buffer("past", self.z.new_zeros(0, self.projection.dim))
            undo.pop_all()

    @staticmethod
    def check(every: int | None, optimizer: str) -> None:
        """Check what is known before there is a model; None: never, which leaves nothing to choose.

        Raises:
            UserError: for what is out of range.
        """
        if every is not None:
            integer("redraw", every, 1)
        if optimizer not in ("reset", "keep"):
            raise UserError(f"need redraw_optimizer=reset or keep, got redraw_optimizer={optimizer}")
        if every is None and optimizer != "reset":
            raise UserError(f"redraw_optimizer={optimizer} does nothing without redraws: set redraw, in steps")

    def _check_kind(self) -> None:
        if self.identity:
            raise UserError("redraw draws P anew, and projection=identity has none: use another projection")
        if self.projection.from_data:
            name = getattr(self.make_projection, "func", self.make_projection).__name__
            raise UserError(f"redraw draws P anew from seeds, and {name} is made of data: use another projection")
        if self.scales is not None:
            raise UserError(f"redraw moves theta_0 by P z, without scales, got scales={self.scales}: use scales=null")
        narrow = [p.dtype for p in self._places().parameters().values() if p.dtype in (torch.float16, torch.bfloat16)]
        if narrow:
            raise UserError(f"redraw adds small steps to weights, and {narrow[0]} loses them: use model.float()")

    def draw(self, seed: int | None = None, *, number: int | None = None) -> Projection:
        """P of the present number, or of another, from the seed."""
        number = self.number if number is None else number
        if number and seed is None:
            seed = rng.fan_out(rng.fan_out(self.projection_seed, "projection"), "redraw", number)
        return super().draw(seed)

    @torch.no_grad()
    def redraw(self) -> None:
        """theta_0 <- theta_0 + P z, z <- 0, and the next P."""
        self._keep_home()
        for place, weight in zip(self._places().parameters().values(), list(self.weights().values()), strict=True):
            place.copy_(weight)
        self.past = torch.cat([self.past, self.z.detach()[None]])
        self.z.zero_()
        self._go_to(self.number + 1)

    def after_step(self, step: int, optimizer: Optimizer) -> bool:
        """Redraw if step number `step`, counted from 1, of an optimiser was the last one of its P: whether it was."""
        if step % self.every:
            return False
        self.redraw()
        if self.optimizer == "reset":
            optimizer.state.pop(self.z, None)
        return True

    @torch.no_grad()
    def follow(self, past: Tensor) -> None:
        """Go back to the start, and along the way of another net that was made alike: (number, dim), then z = 0."""
        self._go_home()
        for z in past.to(self.z):
            self.z.copy_(z)
            self.redraw()

    def _keep_home(self) -> None:
        if self._home is None:
            places = self._places().parameters()
            self._first, self._home = self.projection.fingerprint(), {n: p.detach().clone() for n, p in places.items()}

    @torch.no_grad()
    def _go_home(self) -> None:
        for name, weight in (self._home or {}).items():
            self._places().parameters()[name].copy_(weight)
        self.z.zero_()
        self.past = self.past[:0]
        if self.number:
            self._go_to(0)

    def _go_to(self, number: int) -> None:
        self.number = number
        self.forget()  # it is of the old P
        self.projection = draw_on(self.z.device)(self.draw)().to(self.z.device)
        self._arrived = TensorVersions(self._places().parameters().values())

    def _check_way(self) -> None:
        """Check that the weights are where `past` leads from the start, if somebody else has written to them."""
        now = self._places().parameters()
        if self._arrived(now.values()):
            return
        there = [theta.to(self.z.device) for theta in (self._home or {}).values()]
        for number, z in enumerate(self.past):
            offsets = draw_on(z.device)(self.draw)(number=number).to(z.device)(z).split(self.coordinate_sizes)
            there = [(t + o.view_as(t)).to(t.dtype) for t, o in zip(there, offsets, strict=True)]
        for (name, weight), reached in zip(now.items(), there, strict=True):
            if (weight - reached).norm() > 1e-4 * reached.norm():  # sums on another device are rounded otherwise
                raise UserError(f"{name} is not where redraws lead from the net's start: start as its state dict did")
        self._arrived = TensorVersions(now.values())

    def leaves(self) -> None:
        """None: between two steps theta_0 may move."""

    def fingerprint(self, *, constants: bool = True, bits: bool = True) -> str:
        """That of the start: `past` says all that followed. There are no older files of its kind.

        Raises:
            UserError: if the weights have been written to, and are not where `past` leads, which takes all draws of P.
        """
        if (home := self._home) is None:
            return super().fingerprint(constants=constants, bits=bits)
        self._check_way()
        return fingerprint(self.model, self._first, self.trained_names, values=lambda name, p: home.get(name, p.data))

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *others: Any) -> None:
        """Have the P of another net's state, and the weights, if it has none, before its fingerprint is compared."""
        past = state.get(f"{prefix}past")
        if isinstance(past, Tensor) and past.shape[1:] == self.past.shape[1:] and not torch.equal(past, self.past):
            self._keep_home()
            if not all(f"{prefix}model.{name}" in state for name in self.coordinate_names):
                self.follow(past)
            self.past = past.to(self.z, copy=True)
            self._go_to(len(past))
        super()._load_from_state_dict(state, prefix, *others)

    def around(self, model: nn.Module) -> "Redrawn":
        """A net made like this one, around another model."""
        same = ("every", "optimizer", "space", "dim", "granularity", "head", "seed", "projection_seed")
        options: dict[str, Any] = {name: getattr(self, name) for name in same}
        return Redrawn(model, projection=self.make_projection, **options)

    def unwrap(self, *, keep: bool = False) -> nn.Module:
        """The model as it was before, its weights too; to `keep`: as trained."""
        if self._home is not None and not keep:
            self._go_home()
        return super().unwrap(keep=keep)
