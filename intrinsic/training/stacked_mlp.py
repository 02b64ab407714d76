"""Several MLPs in one batched product for each layer."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from intrinsic.training.plain_mlp import plain_mlp


def stacked_mlp(model: nn.Module, tensors: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor] | None:
    """What `model` gives at each of several weights, up to rounding, without what vmap costs in each call.

    Args:
        model: called as it is in its mode.
        tensors: its parameters by name, with a first axis of replicas.

    Returns:
        Inputs (replicas, n, *input_shape) -> outputs (replicas, n, num_outputs); None unless it is an MLP that drops
        nothing, all its parameters are there, and nobody has changed its layers or put hooks on them.
    """
    mlp = plain_mlp(model)
    if mlp is None or (mlp.training and mlp.dropout.p):
        return None
    names = [f"hidden.{k}" for k in range(len(mlp.hidden))] + ["head"]
    if any(f"{name}.{part}" not in tensors for name in names for part in ("weight", "bias")):
        return None
    layers = [(tensors[f"{name}.weight"].mT, tensors[f"{name}.bias"].unsqueeze(1)) for name in names]

    def call(inputs: Tensor) -> Tensor:
        x = inputs.flatten(2)
        for weight, bias in layers[:-1]:
            x = torch.baddbmm(bias, x, weight).relu_()
        weight, bias = layers[-1]
        return torch.baddbmm(bias, x, weight)

    return call
