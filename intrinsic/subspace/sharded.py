"""A Subspace over a model that is sharded over processes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.projections.base import Projection
from intrinsic.projections.row_blocks.row_blocks import RowBlocks
from intrinsic.subspace.after_backward import AfterBackward
from intrinsic.subspace.alone import alive
from intrinsic.subspace.check_sharded import check_sharded, check_trained
from intrinsic.subspace.frozen import Frozen
from intrinsic.subspace.shard import Shard, gradient, on_gradient
from intrinsic.subspace.sharded_fingerprint import ShardedFingerprint
from intrinsic.subspace.subspace import Subspace
from intrinsic.surgery.sharding import Mesh, bounds, reshard
from intrinsic.surgery.torch_internals import tree_flatten, version


class ShardedSubspace(Subspace):
    """A `Subspace` over a model that FSDP2 has sharded, by `torch.distributed.fsdp.fully_shard`.

    Made by `Subspace(model, ...)` itself, for such models, on every process. Each holds its rows of theta_0 and of P,
    writes its rows of theta_0 + P z into the model before a call, and adds its part of P^T g: one all-reduce of the
    gradient of z at the end of a backward pass, dim numbers. z is the same on all, to the bit.

    Otherwise than over one process's model, everybody finds theta_0 + P z in the model, until `unwrap` puts theta_0
    back; gradients are in `z.grad` after `backward()`, and `torch.autograd.grad` finds none. `fingerprint`, and so
    `intrinsic.save` and `load`, gather theta_0 tensor by tensor, and have to be called on all processes.

    Raises:
        UserError: as `Subspace`, and for models and spaces that cannot be sharded so (see `check_sharded`).
    """

    projection: Any  # RowBlocks, or Identity
    _running = 0  # calls

    def __init__(self, model: nn.Module, **options: Any) -> None:
        reshard(model)
        check_sharded(model, options.get("space"))
        self._mesh = Mesh(next(model.parameters()))
        super().__init__(model, **options)
        parameters = dict(self.model.named_parameters())
        coordinates = {name: parameters[name] for name in self.coordinate_names}
        self._shards: dict[str, Shard] = {}
        if not self.identity:
            layers: Sequence[int | None] = self.layer_of or [None] * len(coordinates)
            for number, (name, parameter) in enumerate(coordinates.items()):
                parameter.requires_grad_()
                self._shards[name] = Shard(name, parameter, self.projection, number, layers[number])
        self.frozen = Frozen(model, {*self.trained_names, *self._shards})  # gradients come to the shards
        self._of = {id(shard.parameter): shard for shard in self._shards.values()}
        self._writes, self._written = 0, list[tuple[Tensor, int]]()  # coordinates as they were, and their versions
        self._totals: dict[bool, Tensor] = {}  # of the gradient: of what is whole on each process, and of the rest
        self._end = AfterBackward(self._average if self.identity else self._sum)
        self._hooks = [on_gradient(parameter, self._take) for parameter in coordinates.values()]
        origins = {name: shard.origin for name, shard in self._shards.items()}
        self._fingerprint = ShardedFingerprint(model, self._mesh, origins if self._shards else coordinates)

    def draw(self, seed: int | None = None) -> Projection:
        """This process's rows of P, from the seed."""
        parameters = dict(self.model.named_parameters())
        trained = {name: parameter for name, parameter in parameters.items() if name in self.trained_names}
        check_trained(trained, identity=self.identity)
        if self.identity:
            return super().draw()
        kind = getattr(self.make_projection, "func", self.make_projection)
        if getattr(kind, "by_shape", False) or getattr(kind, "from_data", False):
            raise UserError(f"{kind.__name__} needs whole matrices, and the model is sharded: use projection=onehot")
        return RowBlocks(  # type: ignore[return-value]
            self.make_projection,
            self.dim - (max(self.layer_of, default=-1) + 1),
            self.coordinate_sizes,
            [bounds(parameters[name]) for name in self.coordinate_names],
            granularity=self.granularity,
            seed=rng.fan_out(self.projection_seed, "projection") if seed is None else seed,
            zero=self.zero_rows,
        )

    def run(self, function: Callable[..., Any], weights: Mapping[str, Tensor], /, *args: Any, **kwargs: Any) -> Any:
        """What the model, or a function of it, returns with theta_0 + P z in it: `weights` are its own parameters."""
        self._running += 1
        try:
            if not torch.is_grad_enabled():
                return function(*args, **kwargs)
            self._end.forget()  # what an exception in a backward pass has left
            self._totals.clear()
            output, written = function(*args, **kwargs), self._writes
        finally:
            self._running -= 1
        for tensor in tree_flatten(output)[0] if self._shards else ():
            if isinstance(tensor, Tensor) and tensor.requires_grad:
                tensor.register_hook(lambda _: self._check(written))
        return output

    def is_under_way(self) -> bool:
        """Whether what stands in the place of `forward` runs."""
        return self.is_replaced and self._running > 0

    @torch.no_grad()
    def weights(self) -> dict[str, Tensor]:
        """The model's own parameters by name, in which theta_0 + P z is written if z has changed."""
        self.frozen.check()
        now = self._coordinates() if self._shards else []
        for shard in self._shards.values():
            shard.check()
        seen = [
            kept.equal(part) for (kept, then), part in zip(self._written, now, strict=False) if then == version(part)
        ]
        if len(seen) < len(now) or not all(seen):
            reshard(self.model)
            for shard in self._shards.values():
                shard.write(*now)
            self._written, self._writes = [(part.clone(), version(part)) for part in now], self._writes + 1
        return {name: self.model.get_parameter(name) for name in self.coordinate_names}

    def leaves(self) -> None:
        """None: here every loop is as any other, as gradients come to the model's own parameters."""

    def _check(self, written: int) -> None:
        if written != self._writes:
            raise RuntimeError("the weights, which gradients need, have been overwritten by a later step")

    @torch.no_grad()
    def _take(self, parameter: nn.Parameter) -> None:
        """Project a gradient that has come, and let go of it."""
        self._end.ask()
        if self._shards:
            shard, (z, *lambdas) = self._of[id(parameter)], self._coordinates()
            if shard.is_whole not in self._totals:
                self._totals[shard.is_whole] = z.new_zeros(len(z) + sum(map(len, lambdas)))
            shard.pull_back(gradient(parameter), z, *lambdas, total=self._totals[shard.is_whole])

    def _sum(self) -> None:
        """Add up what all processes have of the gradients of z and lambda, and give them to autograd."""
        parts, copies = self._coordinates(), any(shard.is_whole for shard in self._shards.values())
        total = parts[0].new_zeros(sum(map(len, parts)))
        for is_whole, own in self._totals.items():
            total += own / self._mesh.shards if is_whole else own
        self._totals.clear()
        self._mesh.sum(total, copies=copies)
        pairs = zip(parts, total.split([len(part) for part in parts]), strict=True)
        trained, gradients = zip(*((part, own) for part, own in pairs if part.requires_grad), strict=True)
        torch.autograd.backward(trained, gradients)  # adds to .grad, and calls hooks

    @torch.no_grad()
    def _average(self) -> None:
        """Average the gradients of what is trained as it is, which are those of this process's batch, over all."""
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
        total = self._mesh.sum(torch.cat([own.flatten() for own in gradients]), copies=True) / self._mesh.shards
        for own, mean in zip(gradients, total.split([own.numel() for own in gradients]), strict=True):
            own.copy_(mean.view_as(own))

    @contextmanager
    def at(self, weights: Mapping[str, Tensor]) -> Iterator[nn.Module]:
        """Not over a sharded model."""
        raise UserError("a sharded model has no other weights than its own: call the net")
        yield

    def merge(self, onto: Any = None) -> nn.Module:
        """Not over a sharded model."""
        raise UserError(
            "no process has all weights of a sharded model: intrinsic.save(net, path) here, and intrinsic.load(model, "
            "path).merge() where the model is whole"
        )

    @torch.no_grad()
    def unwrap(self, *, keep: bool = False) -> nn.Module:
        """The model as it was before, theta_0 in it. The net ends with it. What was trained is not kept here."""
        if keep:
            raise UserError("a sharded model keeps nothing: intrinsic.save(net, path), and load it where it is whole")
        for hook in self._hooks:
            hook.remove()
        reshard(self.model)
        for shard in self._shards.values():
            shard.restore()
        return super().unwrap()

    def relocate(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        """Stay where it is.

        Raises:
            UserError: if it was to go to another device or dtype.
        """
        own = next(self.parameters())
        found = fn(own.detach())
        if (found.device, found.dtype) != (own.device, own.dtype):
            raise UserError("a sharded model stays where it is, in its dtype: move the model first, then shard it")
        return self

    def fingerprint(self, *, constants: bool = True, bits: bool = True) -> str:
        """See `Subspace.fingerprint` and `ShardedFingerprint`: all processes have to ask for it."""
        own = partial(self.projection.fingerprint, bits=bits)
        zero = len(self.zero_rows)  # none, once an older file is loaded
        return self._fingerprint(own, self.trained_names, constants=constants, bits=bits, zero=zero)

    def on_one_process(self, do: Callable[[], None]) -> None:
        """Do something on the first process, while the others wait."""
        self._mesh.on_first(do)

    def _places(self) -> Any:
        alive[self] = True  # what else stands around the model would see other weights
