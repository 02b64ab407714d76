"""Several subspaces of one architecture, computed at once."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from intrinsic.errors import UserError
from intrinsic.projections.base import Projection
from intrinsic.subspace import Subspace
from intrinsic.surgery.tree import parameter_slots
from intrinsic.training.stacked_mlp import stacked_mlp

Call = Callable[..., Any]  # what a model returns for its arguments


class Replicas:
    """Nets that differ in their numbers only: stacked along a first axis, and computed at once by `torch.func.vmap`.

    Each has its own theta_0, P, trained numbers and buffers; frozen numbers that are the same in all are held once. P z
    is computed net by net, by the projections' own kernels. The model that is called is the first net's, in its mode.

    Memory: besides the nets, the stacked numbers, theta_0 and, in a step, theta_0 + P z and its gradient, of every net.

    Args:
        nets: made alike, but for seeds. `store` writes into them; nothing else does.

    Raises:
        UserError: if their numbers have other names or shapes.
    """

    trained: dict[str, Tensor]  # by the net's names for its parameters: (replicas, *shape)

    def __init__(self, nets: Sequence[Subspace]) -> None:
        self._nets, first = list(nets), nets[0]
        if first.moves_base:
            raise UserError("replicas keep their P, and redraw draws others: use replicas=1")
        for net in nets:
            if _shapes(net) != _shapes(first):
                raise UserError(f"replicas need nets made alike, got {_shapes(first)} and {_shapes(net)}")
        self.trained = {name: tensor.requires_grad_() for name, tensor in _stack(nets, _trained).items()}
        self._moving = _stack(nets, lambda net: dict(net.model.named_buffers()))
        self._slots = _slots(first.model)
        frozen = _stack(nets, lambda net: _without(dict(net.model.named_parameters()), net.trained_names))
        self._origin = {} if first.identity else {name: frozen.pop(name) for name in first.coordinate_names}
        self._frozen = {name: tensor for name, tensor in frozen.items() if not bool((tensor == tensor[0]).all())}
        self._projections = [net.projection for net in nets]
        self._flat_origin: Tensor | None = None  # theta_0 in one piece, where P z can be added to it in one
        if len({tensor.dtype for tensor in self._origin.values()}) == 1 and not first.layer_of:
            self._flat_origin = torch.cat([tensor.flatten(1) for tensor in self._origin.values()], dim=1)
            self._origin = dict(zip(self._origin, self._cut(self._flat_origin), strict=True))

    def __len__(self) -> int:
        return len(self._nets)

    def map(self, function: Callable[..., Any], *batches: Tensor) -> Any:
        """function(call, weights, *batch) for every replica, its results stacked along a first axis of replicas.

        `call` calls the replica's model, `weights` are those of the space at theta_0 + P z, by name, and each of the
        `batches` has a first axis of replicas. Differentiable with respect to `trained`. The model's buffers move on.
        What is drawn at random is drawn for each replica by itself.

        Raises:
            UserError: if the model does what cannot be done for all replicas at once.
        """

        def one(
            weights: dict[str, Tensor], others: dict[str, Tensor], buffers: dict[str, Tensor], *batch: Tensor
        ) -> Any:
            tensors = {slot: t for name, t in (others | weights | buffers).items() for slot in self._slots[name]}

            def call(*args: Any) -> Any:
                return functional_call(self._nets[0].model, tensors, args, tie_weights=False)

            results = function(call, weights, *batch)
            return results, {name: tensors[self._slots[name][0]].detach() for name in buffers}

        weights, others = self._numbers()
        try:
            with self._attention():
                results, self._moving = vmap(one, randomness="different")(weights, others, self._moving, *batches)
        except RuntimeError as error:
            if "vmap" not in str(error):
                raise
            line = " ".join(str(error).split())
            raise UserError(f"{type(self._nets[0].model).__name__} cannot be replicated: {line}") from error
        return results

    def models(self) -> Call:
        """The models as they stand now, without gradients: inputs (replicas, n, ...) -> outputs (replicas, n, ...).

        Their weights are computed once; buffers stay.
        """
        with torch.no_grad():
            weights, others = self._numbers()
        tensors = {slot: t for name, t in (others | weights | self._moving).items() for slot in self._slots[name]}

        def one(tensors: dict[str, Tensor], inputs: Tensor) -> Any:
            return functional_call(self._nets[0].model, tensors, (inputs,), tie_weights=False)

        plain = stacked_mlp(self._nets[0].model, tensors)
        return plain or (lambda inputs: vmap(one, randomness="different")(tensors, inputs))

    def place(self, trained: Mapping[str, Tensor]) -> None:
        """Have the replicas stand at other trained numbers, by name: (replicas, *shape)."""
        for name, tensor in self.trained.items():
            tensor.data.copy_(trained[name])

    def _numbers(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The weights of the space, and what else is trained or differs, by the name in the model."""
        weights = self._weights()
        beside = {name.removeprefix("model."): t for name, t in self.trained.items() if name.startswith("model.")}
        return weights, self._frozen | _without(beside, weights)

    def store(self, replica: int) -> None:
        """Write the trained numbers and the buffers of one replica into its net."""
        net = self._nets[replica]
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                parameter.copy_(self.trained[name][replica])
            for name, buffer in net.model.named_buffers():
                buffer.copy_(self._moving[name][replica])

    def _attention(self) -> AbstractContextManager[Any]:
        """Plain attention on CPU, whose fused kernel vmap could only call once for each replica."""
        cpu = next(iter(self.trained.values())).device.type == "cpu"
        return sdpa_kernel(SDPBackend.MATH) if cpu else nullcontext()

    def _weights(self) -> dict[str, Tensor]:
        """theta_0 + P z of every replica, by the weight's name: (replicas, *shape)."""
        first = self._nets[0]
        if first.identity:
            return {name: self.trained[f"model.{name}"] for name in first.coordinate_names}
        z = self.trained["z"]
        if self._flat_origin is not None:
            return dict(
                zip(
                    first.coordinate_names,
                    self._cut(_Displace.apply(z, self._flat_origin, self._projections)),
                    strict=True,
                )
            )
        offsets = self._cut(_Displace.apply(z, z.new_zeros(len(self), first.full_dim), self._projections))
        if first.layer_of:
            scales = self.trained["lambdas"]
            offsets = [o * _column(scales, k, o.ndim) for o, k in zip(offsets, first.layer_of, strict=True)]
        pairs = zip(self._origin.items(), offsets, strict=True)
        return {name: (theta + offset).to(theta.dtype) for (name, theta), offset in pairs}

    def _cut(self, flat: Tensor) -> list[Tensor]:
        """(replicas, full_dim) -> one (replicas, *shape) for each weight of the space."""
        pieces = zip(flat.split(self._nets[0].coordinate_sizes, dim=1), self._origin.values(), strict=True)
        return [piece.view(theta.shape) for piece, theta in pieces]


class _Displace(torch.autograd.Function):
    """z -> theta_0 + P z, row by row: (replicas, dim) -> (replicas, full_dim), each row with a P of its own."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, origin: Tensor, projections: Sequence[Projection]) -> Tensor:
        ctx.projections, theta = projections, torch.empty_like(origin)
        for projection, *rows in zip(projections, z, origin, theta, strict=True):
            projection.displace(*rows)
        return theta

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        pairs = zip(ctx.projections, grads[0], strict=True)
        return torch.stack([projection.multiply(g, transposed=True) for projection, g in pairs]), None, None


def _trained(net: Subspace) -> dict[str, Tensor]:
    return dict(net.named_parameters())


def _stack(nets: Sequence[Subspace], tensors: Callable[[Subspace], dict[str, Tensor]]) -> dict[str, Tensor]:
    rows = [tensors(net) for net in nets]
    return {name: torch.stack([row[name].detach() for row in rows]) for name in rows[0]}


def _slots(model: nn.Module) -> dict[str, list[str]]:
    """By the name of a parameter or buffer, a name for each place that holds it."""
    places = parameter_slots(model)
    for prefix, module in model.named_modules():
        for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
            places.setdefault(id(buffer), []).append(f"{prefix}.{name}".lstrip("."))
    return {name: places[id(t)] for name, t in (*model.named_parameters(), *model.named_buffers())}


def _shapes(net: Subspace) -> dict[str, tuple[int, ...]]:
    named = (*net.named_parameters(), *net.model.named_parameters(), *net.model.named_buffers())
    return {name: tuple(tensor.shape) for name, tensor in named}


def _without(tensors: dict[str, Any], names: Any) -> dict[str, Any]:
    return {name: tensor for name, tensor in tensors.items() if name not in names}


def _column(table: Tensor, index: int, ndim: int) -> Tensor:
    """Column `index` of (replicas, columns), with the axes that broadcast over `ndim` axes: (replicas, 1, ..., 1)."""
    return table[:, index].view(-1, *[1] * (ndim - 1))
