"""An MLP whose numbers say all that it does."""

from torch import nn

from intrinsic.models.mlp import MLP
from intrinsic.surgery.torch_internals import forward_hooks


def plain_mlp(model: nn.Module) -> MLP | None:
    """The model, if it is an MLP that does what it did when it was made, with linear layers and no hooks; else None."""
    if type(model) is not MLP or type(model.dropout) is not nn.Dropout:
        return None
    linear = all(type(layer) is nn.Linear for layer in (*model.hidden, model.head))
    changed = any("forward" in vars(part) or any(forward_hooks(part)) for part in model.modules())
    return model if linear and not changed else None
