"""SHiRA: some weights of a layer, each moved by a number of its own."""

from collections.abc import Mapping
from functools import partial
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.peft.layout import PREFIX, common_config, exact_targets
from intrinsic.peft.peft_type import Adapter, WrittenPeftType
from intrinsic.projections.select import Select
from intrinsic.spaces.full import Full
from intrinsic.subspace import Subspace
from intrinsic.subspace.redrawn import Redrawn
from intrinsic.surgery.head import under

_WEIGHT, _INDICES = ".shira_weight", ".shira_indices"


class Shira(WrittenPeftType):
    """space=full with projection=select: the places (2, k), row and column, and the numbers (k,) of each linear layer.

    PEFT has r (in + out) places in each layer, of one r for all. Where fewer are chosen, the first free ones join them
    at zero: the same function, of which more is trained there.
    """

    knobs = frozenset({"r", "mask_type", "random_seed", "init_weights"})

    def read(
        self, model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: object
    ) -> Adapter:
        """The weights at these places, and what is added to them."""
        rest = {key.removeprefix(PREFIX): tensor for key, tensor in tensors.items()}
        names = [key.removesuffix(_WEIGHT) for key in rest if key.endswith(_WEIGHT)]
        found = {f"{name}.weight": (rest.pop(name + _WEIGHT), rest.pop(name + _INDICES, None)) for name in names}
        own = {f"{name}.weight" for name in names if _linear(model, name) and not _shared(model, name)}
        chosen = {name: p for name, p in model.named_parameters() if name in own}
        absent = [name for name in found if name not in chosen]
        if absent or not found:
            what = f"chooses weights of {absent[0]}" if absent else "holds no weights of SHiRA"
            raise UserError(
                f"{folder} {what}, and {type(model).__name__} needs each in a linear layer that shares none: load it "
                "around the model that it was made for"
            )
        places, values, start = [], [], 0
        for name, weight in chosen.items():
            places.append(start + _flat(*found[name], weight, name, folder))
            values.append(found[name][0].flatten())
            start += weight.numel()
        index, order = torch.cat(places).sort()
        modules = [name for name, _ in model.named_modules()]
        space = Full(targets=exact_targets([name.removesuffix(".weight") for name in chosen], modules))
        return Adapter(space, [torch.cat(values)[order]], rest, partial(Select, index=index.tolist()))

    def writes(self, net: Subspace) -> bool:
        """Chosen weights of all."""
        make = getattr(net.make_projection, "func", net.make_projection)
        return isinstance(net.space, Full) and make is Select

    def write(self, net: Subspace, head: str | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The chosen weights of each layer that has any."""
        if isinstance(net, Redrawn) or net.layer_of:
            raise UserError("PEFT's SHiRA holds one choice of weights: need redraw=null and no learned scales")
        moved = net.projection(net.z).split(net.coordinate_sizes)
        chosen = net.projection(torch.ones_like(net.z)).split(net.coordinate_sizes)
        parts: dict[str, tuple[Tensor, Tensor]] = {}
        for name, shape, offset, mask in zip(net.coordinate_names, net.coordinate_shapes, moved, chosen, strict=True):
            if (head is not None and under(name, head)) or not mask.any():
                continue
            layer = name.removesuffix(".weight")
            if layer == name or not _linear(net.model, layer) or _shared(net.model, layer):
                raise UserError(
                    f"PEFT's SHiRA holds weights of linear layers that share none, got {name}: use space.targets"
                )
            parts[layer] = offset.view(shape), mask.view(shape) != 0
        if not parts:
            raise UserError("PEFT's SHiRA needs a chosen weight in a linear layer, got none: use more of them, dim=")
        rank = max(ceil(mask.sum().item() / sum(mask.shape)) for _, mask in parts.values())
        tensors = {}
        for layer, (offset, mask) in parts.items():
            count = rank * sum(mask.shape)
            if count > mask.numel():
                raise UserError(
                    f"PEFT's SHiRA has r (in + out) weights of each layer, here r={rank}, more than {layer} has: write "
                    "it with intrinsic.save, or choose fewer, dim="
                )
            free = (~mask).flatten().nonzero().flatten()[: count - int(mask.sum())]
            places = torch.cat([mask.flatten().nonzero().flatten(), free]).sort().values
            tensors[f"{PREFIX}{layer}{_WEIGHT}"] = offset.flatten()[places]
            rows_and_columns = torch.stack([places // mask.shape[1], places % mask.shape[1]])
            tensors[f"{PREFIX}{layer}{_INDICES}"] = rows_and_columns.to(torch.int32)
        return tensors, {
            **common_config("SHIRA", net.model, head),
            "r": rank,
            "target_modules": exact_targets(list(parts), [name for name, _ in net.model.named_modules()]),
            "random_seed": 0,  # of a mask that the places replace
        }


TYPE = Shira()


def _linear(model: nn.Module, name: str) -> bool:
    modules = dict(model.named_modules())
    return isinstance(modules.get(name), nn.Linear)


def _shared(model: nn.Module, name: str) -> bool:
    weight = model.get_submodule(name).weight
    weights = [getattr(module, "weight", None) for _, module in model.named_modules(remove_duplicate=False)]
    return sum(other is weight for other in weights) > 1


def _flat(values: Tensor, indices: Tensor | None, weight: Tensor, name: str, folder: object) -> Tensor:
    """Places in the flat weight, each once."""
    kinds = values.is_floating_point() and indices is not None and indices.dtype in (torch.int32, torch.int64)
    if indices is None or not kinds or indices.shape != (2, values.numel()):
        raise UserError(f"{folder} holds no row and column for each number of {name}: write it with PEFT")
    rows, columns = indices.long()
    inside = (rows >= 0) & (rows < weight.shape[0]) & (columns >= 0) & (columns < weight.shape[1])
    flat = rows * weight.shape[1] + columns
    if not inside.all() or len(flat.unique()) < len(flat):
        raise UserError(
            f"{folder} names places of {name}, {tuple(weight.shape)}, that it does not have or names twice: load it "
            "around the model that it was made for"
        )
    return flat
