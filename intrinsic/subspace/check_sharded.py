"""Checks of a sharded model, and of what a Subspace over it trains."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from intrinsic.errors import UserError
from intrinsic.spaces.base import Space
from intrinsic.surgery.sharding import is_by_rows, is_sharded, sharded_modules


def check_sharded(model: nn.Module, space: Space | None) -> None:
    """Check that all of a model is sharded by FSDP2 in one way, and that a space can be saved over it.

    Raises:
        UserError: if not.
    """
    if not sharded_modules(model):
        raise UserError(
            "the model holds DTensors that fully_shard did not make: call torch.distributed.fsdp.fully_shard(model)"
        )
    meshes = []
    parameters: dict[str, Any] = dict(model.named_parameters())
    for name, parameter in parameters.items():
        if not is_sharded(parameter):
            raise UserError(
                f"{name} is not sharded, others of the model are: call fully_shard(model) on all of it, after its parts"
            )
        if not is_by_rows(parameter):
            raise UserError(
                f"need parameters cut by rows, Shard(0) along one axis of the mesh, got {parameter.placements} for "
                f"{name}: call fully_shard without shard_placement_fn, on a model that is not split otherwise"
            )
        meshes.append(parameter.device_mesh)
    if any(mesh != meshes[0] for mesh in meshes):
        raise UserError(f"need one mesh for the whole model, got {len(set(meshes))}: call fully_shard with one mesh")
    if isinstance(space, Space) and space.settles:
        raise UserError(
            f"{type(space).__name__} rewrites its modules when it is saved, which no sharded model can: "
            "use another space, or a model that is not sharded"
        )


def check_trained(trained: Mapping[str, nn.Parameter], *, identity: bool) -> None:
    """Check that what is trained as it is, beside z or in its stead, is whole on each process.

    Raises:
        UserError: if some of it is sharded.
    """
    for name, parameter in trained.items():
        if is_sharded(parameter):
            remedy = "a projection, or no Subspace: FSDP trains it alone" if identity else "head=project or head=freeze"
            raise UserError(f"{name} is sharded, and would be trained as it is: use {remedy}")
