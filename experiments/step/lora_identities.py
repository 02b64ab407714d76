"""The gradients of LoRA's factors against that of the weight that they update."""

from typing import Any

import torch
from torch import Tensor

from experiments.step.step_trace import tensors
from intrinsic.layers.low_rank import LowRank
from intrinsic.layers.low_rank.linear import LowRankLinear
from intrinsic.layers.low_rank.parts import Parts
from intrinsic.subspace import Subspace


def lora_identities(net: Subspace, loss: Any, batch: tuple[Tensor, Tensor]) -> dict[str, Any] | None:
    """Largest relative error, in Frobenius norm, of dA = s B^T G and of dB = s G A^T over the linear layers.

    G = dL/dW (out, in) of the effective weight W + s B A, s = alpha / r, A (r, in), B (out, r), all gradients by
    autograd in float64 without dropout: W is given a gradient for this. They follow from dL = <G, dW> and
    dW = s (dB A + B dA). None: the net has no such layer whose factors are trained as they are.

    Source: derived; the parametrisation is that of Hu et al. 2021, arXiv:2106.09685, equation 3.
    """
    layers = [m for m in net.model.modules() if isinstance(m, LowRankLinear) and not isinstance(m, Parts)]
    if not layers or not all(layer.lora_A.requires_grad for layer in layers):
        return None
    training, dtypes = net.training, {layer.target.dtype for layer in layers}  # the factors may be of another one
    assert len(dtypes) == 1
    for layer in layers:
        layer.target.requires_grad_(True)
    try:
        net.eval().double()
        net.zero_grad(set_to_none=True)
        inputs, targets = (t.double() if t.is_floating_point() else t for t in tensors(batch))
        loss(net.model(inputs), targets).backward()  # the net itself refuses a W that was thawed
        return {"layers": len(layers)} | {name: max(_error(layer, name) for layer in layers) for name in ("dA", "dB")}
    finally:
        for layer in layers:
            layer.target.requires_grad_(False)
            layer.target.grad = None
        net.zero_grad(set_to_none=True)
        net.to(next(iter(dtypes))).train(training)


@torch.no_grad()
def _error(layer: LowRank, name: str) -> float:
    A, B, G = layer.lora_A, layer.lora_B, layer.target.grad
    assert G is not None
    factor, expected = (A, layer.scaling * B.T @ G) if name == "dA" else (B, layer.scaling * G @ A.T)
    assert factor.grad is not None
    difference = (factor.grad - expected).norm()
    return float(difference / expected.norm().clamp(min=torch.finfo(expected.dtype).tiny))  # B = 0: 0 / tiny
