"""The linear layers that (IA)^3 scales."""

from torch import nn

from intrinsic.errors import UserError
from intrinsic.surgery.dataflow.branches import find_branches, is_linear


def rescalable(module: nn.Module) -> bool:
    """Whether a layer is one that can be scaled: nn.Linear, or transformers' Conv1D."""
    return isinstance(module, nn.Linear) or "Conv1D" in {kind.__name__ for kind in type(module).__mro__}


def rescaled_places(model: nn.Module) -> dict[str, bool]:
    """By name, in the model's order: False for layers of keys and values, True for the last of feed-forwards.

    Found by a call of the model, see `find_branches`. A layer that makes queries as well is one of keys and values.

    Raises:
        UserError: if there are none, or the model cannot be called.
    """
    remedy = "use space=lora"
    try:
        branches = find_branches(model)
    except UserError as error:
        raise UserError(f"space ia3 finds no place: {error}; {remedy}") from None
    scaled = dict.fromkeys((name for branch in branches for name in (*branch.keys, *branch.values)), False)
    ends = [branch.name for branch in branches if branch.does == "feed-forward"]
    scaled |= {name: True for name in ends if name not in scaled and is_linear(model.get_submodule(name))}
    if not scaled:
        raise UserError(
            f"space ia3 needs attention or layers whose output is added to their input: {type(model).__name__} has "
            f"none: {remedy}"
        )
    return {name: scaled[name] for name, _ in model.named_modules() if name in scaled}
