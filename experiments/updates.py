"""The update of each weight matrix: its singular vectors, and how they lie to those of W_0.

python -m experiments.updates outputs/STUDY         a file updates.safetensors beside each record
python -m analysis.spectrum outputs/STUDY           draws them; as do analysis.similarity and analysis.amplification
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from experiments.finished.measure import Measurement, measure
from experiments.finished.reopen import TrainedRun
from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.surgery.head import head_parameters


def updates(run: TrainedRun, *, keep: int = 64) -> Measurement:
    """Decompose dW = W - W_0 of each weight of two or more axes, (outputs, inputs) with all further axes as inputs.

    Arrays of a weight, of k = min(keep, outputs, inputs) and all s = min(outputs, inputs) singular values:

    - `<weight>/left` (outputs, k), `/right` (inputs, k), `/values` (s,): U, V and sigma of dW, in falling order;
    - `<weight>/origin_values` (s,): sigma of W_0; `/trained_values` (s,): of W_0 + dW;
    - `<weight>/projected` (k,): ||U_r^T W_0 V_r||_F at r = 1..k, U and V of dW; `/projected_random`: of random ones;
    - `<weight>/resemblance` (k,): of the j-th left vector of W_0 + dW, the largest |cosine| with any of W_0's.

    Raises:
        UserError: if no weight of two axes has moved.
    """
    models = run.plain()
    origin, trained = ({name: p.detach() for name, p in model.named_parameters()} for model in models)
    moved = [name for name, w in origin.items() if w.ndim > 1 and name in trained and not w.equal(trained[name])]
    if not moved:
        raise UserError(f"no weight matrix has moved under method={run.record.method}: its update is zero")
    arrays: dict[str, Tensor] = {}
    for number, name in enumerate(moved):
        before = origin[name].double().flatten(1)
        found = decompose_update(before, trained[name].double().flatten(1) - before, keep, seed=number)
        arrays |= {f"{name}/{key}": value.float() for key, value in found.items()}
    shapes = {name: list(origin[name].flatten(1).shape) for name in moved}
    return {"weights": shapes, "head": _head(models[0], shapes), "numbers": run.record.numbers}, arrays


def decompose_update(origin: Tensor, update: Tensor, keep: int, *, seed: int) -> dict[str, Tensor]:
    """The arrays of one weight, see `updates`: of W_0 and dW, both (outputs, inputs)."""
    k = min(keep, *origin.shape)
    left, values, right = torch.linalg.svd(update, full_matrices=False)
    left, right = left[:, :k], right[:k].T
    own, origin_values, _ = torch.linalg.svd(origin, full_matrices=False)
    after, trained_values, _ = torch.linalg.svd(origin + update, full_matrices=False)
    generator = torch.Generator().manual_seed(rng.fan_out(seed, "random vectors"))
    random = [
        torch.linalg.qr(torch.randn(n, k, generator=generator, dtype=origin.dtype))[0].to(origin) for n in origin.shape
    ]
    return {
        "left": left,
        "right": right,
        "values": values,
        "origin_values": origin_values,
        "trained_values": trained_values,
        "projected": _norms(left.T @ origin @ right),
        "projected_random": _norms(random[0].T @ origin @ random[1]),
        "resemblance": (own.T @ after[:, :k]).abs().amax(0),
    }


def _head(model: nn.Module, moved: Iterable[str]) -> list[str]:
    """Which of the weights are the head's; none where the model has no head."""
    try:
        return [name for name in head_parameters(model) if name in moved]
    except UserError:
        return []


def _norms(product: Tensor) -> Tensor:
    """||M[:r, :r]||_F for r = 1..k of M (k, k)."""
    return product.square().cumsum(0).cumsum(1).diagonal().sqrt()


if __name__ == "__main__":
    measure(updates)
