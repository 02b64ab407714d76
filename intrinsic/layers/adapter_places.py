"""The modules behind which adapters go."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from intrinsic.errors import UserError
from intrinsic.surgery.dataflow.branches import find_branches, is_linear
from intrinsic.surgery.targets import find_targets


def adapter_places(
    model: nn.Module, placement: Literal["houlsby", "pfeiffer"], targets: str | Sequence[str] | None
) -> dict[str, tuple[nn.Module, int]]:
    """The modules, by name, whose output adapters change, and its width: those of `targets`, else of the placement.

    The placement's are where branches of residual connections end, see `find_branches`.

    Raises:
        UserError: if there are none, or a layer is one that its owner never calls.
    """
    if targets is not None:
        kinds = tuple({type(module) for module in model.modules() if is_linear(module)})
        named = find_targets(model, targets, kinds)
        places = {name: (module, output_width(module)) for name, module in named.items()}
    else:
        places = _of_branches(model, placement)
    uncalled = {id(m.out_proj): name for name, m in model.named_modules() if isinstance(m, nn.MultiheadAttention)}
    for name, (module, _) in places.items():
        if id(module) in uncalled:
            raise UserError(f"space adapter cannot follow {name}: nn.MultiheadAttention reads its weight only")
    order = {name: index for index, (name, _) in enumerate(model.named_modules())}
    return dict(sorted(places.items(), key=lambda item: order[item[0]]))


def _of_branches(model: nn.Module, placement: str) -> dict[str, tuple[nn.Module, int]]:
    remedy = "name linear layers with space.targets, or use space=lora"
    try:
        branches = [branch for branch in find_branches(model) if branch.does != "cross-attention"]
    except UserError as error:
        raise UserError(f"space adapter finds no place: {error}; or {remedy}") from None
    if placement == "pfeiffer":
        branches = [branch for branch in branches if branch.does == "feed-forward"]
    if not branches:
        wanted = "a feed-forward" if placement == "pfeiffer" else "layers"
        raise UserError(
            f"space adapter needs {wanted} whose output, of a linear layer, is added to its input: "
            f"{type(model).__name__} has none: {remedy}"
        )
    return {branch.name: (model.get_submodule(branch.name), branch.width) for branch in branches}


def output_width(module: nn.Module) -> int:
    """The size of the last axis of what a linear layer returns."""
    return next(int(getattr(module, key)) for key in ("out_features", "nf") if hasattr(module, key))  # nf: Conv1D
