"""Several nets around one model, and banks over it."""

from weakref import WeakKeyDictionary

from torch import nn

from intrinsic.errors import UserError

# every net and bank, each a module around its `model`: whether it trains parameters of the model as they are
alive: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def check_alone(modules: set[nn.Module], *, changes: bool) -> None:
    """Check that a model may get another net around it.

    Several that train z alone may stand around one model, and a bank over it: each finds its own weights in its calls.

    Args:
        modules: all of the model's.
        changes: whether the new net trains parameters of the model as they are, or replaces modules.

    Raises:
        UserError: if the new net or one that there is changes what the other stands on.
    """
    for net, other_changes in list(alive.items()):
        if (changes or other_changes) and not modules.isdisjoint(net.get_submodule("model").modules()):
            where = "in another Subspace" if hasattr(net, "unwrap") else "the base of a Bank"
            remedy = "call the other's unwrap() first, or " if hasattr(net, "unwrap") else ""
            raise UserError(
                f"the model is {where}, and one of the two trains or replaces parts of it: {remedy}make this one "
                "around copy.deepcopy(model)"
            )
