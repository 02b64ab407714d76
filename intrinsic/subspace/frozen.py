"""What a net does not train, which has to stay so."""

from collections.abc import Collection

from torch import nn

from intrinsic.errors import UserError
from intrinsic.surgery.torch_internals import own_parameters


class Frozen:
    """The parameters of a model that a net does not train: a net that stands on others than it was made on is another.

    `requires_grad_(True)` of the net itself thaws what is trained alone; that of a module around it reaches all, and an
    optimiser that takes the parameters of that module would then train them, past the net.

    Args:
        model: any module.
        trained: the names of those of its parameters that the net trains.
    """

    def __init__(self, model: nn.Module, trained: Collection[str]) -> None:
        left_out = {id(parameter) for name, parameter in model.named_parameters() if name in trained}
        self._held = [
            (module, key, f"{path}.{key}".lstrip("."))
            for path, module in model.named_modules()
            for key, parameter in own_parameters(module).items()
            if parameter is not None and id(parameter) not in left_out
        ]

    def check(self) -> None:
        """Check that they are frozen; tensors that somebody else has put in their places are his own.

        Raises:
            UserError: if one is not.
        """
        for module, key, name in self._held:
            parameter = dict.get(own_parameters(module), key)  # itself, also within a call: see `Places`
            if parameter is not None and parameter.requires_grad and isinstance(parameter, nn.Parameter):
                raise UserError(
                    f"{name} takes a gradient, and the Subspace does not train it: freeze it again (requires_grad_() "
                    "of the net itself thaws what is trained alone), or name it in the space and make the net anew"
                )
