"""The spectrum of the Hessian at the solution of full training, and how far that lies from theta_0.

python run.py method=full study=STUDY           makes a solution
python -m experiments.curvature outputs/STUDY   a file curvature.safetensors beside its record
python -m analysis.curvature outputs/STUDY      predicts d90 from it, beside the measured one
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor, nn

from experiments.finished.measure import Measurement, measure
from experiments.finished.reopen import TrainedRun
from experiments.finished.subset import subset
from experiments.hessian.hessian import Hessian
from experiments.hessian.quadrature import quadrature
from experiments.terminal.progress import tracked
from intrinsic import rng
from intrinsic.checks import check_memory, integer
from intrinsic.errors import UserError
from intrinsic.tasks.task import Split
from intrinsic.training.evaluate import evaluate

SPLITS = ("train", "validation", "test")
PRECISIONS = {"float64": torch.float64, "float32": torch.float32}
TOLERANCE = 1e-3  # of an eigenvector; the eigenvalue's error is of its square
RESTARTS = 10  # of ARPACK, at most
LINE = 41  # points from theta_0 to the solution


def curvature(
    run: TrainedRun,
    *,
    examples: int = 1000,
    split: str = "train",
    top: int = 20,
    probes: int = 2,
    steps: int = 200,
    precision: str = "float64",
    seed: int = 0,
) -> Measurement:
    """Measure H = d^2 L / d theta^2 at theta*, for the mean loss L over some examples, and delta = theta* - theta_0.

    The largest eigenvalues are ARPACK's. The rest of the spectrum is estimated by stochastic Lanczos quadrature from
    random directions orthogonal to their eigenvectors (see `quadrature`), and that of delta, whose weights say how much
    of |delta|^2 lies at which eigenvalue, from delta itself. Arrays, of which every trace is made,
    tr f(H) = sum f(top) + the mean over probes of sum w f(node):

    - `top` (k,): the largest eigenvalues, falling; fewer than asked for where ARPACK did not find them;
    - `nodes`, `weights` (probes, m); weights of a probe have the sum D - k;
    - `moved/nodes`, `moved/weights` (k + m,): of delta, with the sum R^2;
    - `line/at`, `line/loss`, `line/score` (n,): on the line from theta_0 (0) to theta* (1), on the same examples.

    Values: full_dim D, distance R = |delta|, loss at theta*, trace, energy ||H||_F^2 and effective_rank
    trace^2 / ||H||_F^2 (Hutchinson's estimates, which the quadrature has exactly), trace_error, their standard error
    over probes; metric, split, examples. Products are in float64, as most eigenvalues are far below the largest; in
    `precision` float32, which is several times faster for convolutions, those below 1e-6 of it are rounding. Cost: some
    (1 + probes) steps + 5 top products, each of about three gradients over the examples; memory: 2 top or `steps`
    vectors of D numbers.

    Raises:
        UserError: for an option out of range, a loss or a curvature that is not finite, a solution that is theta_0.
    Source: the measures of curvature of Larsen et al. 2021, arXiv:2107.05802; see `analysis.curvature`.
    """
    _check(examples, split, top, probes, steps, precision)
    some = subset(getattr(run.task, split), examples, seed)
    loss = evaluate(run.net, run.task, some)["loss"]
    if not math.isfinite(loss):
        raise UserError(f"the {split} loss at the solution is {loss}: a run that diverged has no curvature to measure")
    origin, solution = (model.double() for model in run.plain())
    names = [name for name in dict(solution.named_parameters()) if name in run.net.trained_names]
    delta = _flat(solution, names) - _flat(origin, names)
    distance = float(delta.norm())
    if not distance > 0:
        raise UserError("the solution is theta_0 itself: nothing was learned")
    product = Hessian(solution.to(PRECISIONS[precision]), names, run.task, some)
    size, steps = product.size, min(steps, product.size)
    check_memory(max(2 * top + 1, steps) * delta.element_size() * size, f"a Hessian of {size:,} weights")
    if not bool(product(delta).isfinite().all()):
        raise UserError("the curvature at the solution is not finite: the loss has no second derivative there")
    values, vectors = _largest(product, min(top, size - 2), delta, seed)
    directions = [_direction(rng.fan_out(seed, "probe", number), delta, vectors) for number in range(probes)]
    rest = [
        quadrature(product, start, min(steps, size - len(values)), beside=vectors, what=f"probe {number} of {probes}")
        for number, start in enumerate(directions, start=1)
    ]
    shares = vectors @ delta
    moved = quadrature(
        product, _without(delta, vectors), min(steps, size - len(values)), beside=vectors, what="from θ₀ to θ*"
    )
    nodes, weights = (torch.from_numpy(part) for part in _rows(rest))
    trace, energy = (
        sum(values**power) + (weights * nodes**power).sum(1) for power in (1, 2)
    )  # (probes,) each: v^T H v and |H v|^2
    found = {
        "full_dim": size,
        "distance": distance,
        "loss": loss,
        "trace": trace.mean().item(),
        "trace_error": trace.std().item() / probes**0.5 if probes > 1 else None,
        "energy": energy.mean().item(),
        "effective_rank": trace.mean().item() ** 2 / energy.mean().item(),
        "metric": run.task.metric,
        "split": split,
        "examples": len(some),
    }
    arrays = {"top": torch.from_numpy(values), "nodes": nodes, "weights": weights}
    arrays["moved/nodes"] = torch.from_numpy(np.concatenate([values, moved[0]]))
    arrays["moved/weights"] = torch.cat([shares.cpu().double().square(), torch.from_numpy(moved[1])])
    at = torch.linspace(0, 1, LINE, dtype=torch.float64)
    arrays["line/at"] = at
    line = torch.tensor(list(_line(run, names, at.tolist(), some)), dtype=torch.float64)
    arrays["line/loss"], arrays["line/score"] = line.T
    return found, arrays


def _largest(product: Hessian, count: int, like: Tensor, seed: int) -> tuple[np.ndarray, Tensor]:
    """The largest eigenvalues (k,), falling, and their eigenvectors (k, D): as many as ARPACK finds."""
    none = np.zeros(0), like.new_zeros(0, product.size)
    if count < 1:
        return none
    held = min(product.size, max(2 * count + 1, 20))  # vectors
    turns = tracked(range(held + RESTARTS * (held - count)), "top, products at most")

    def apply(v: np.ndarray) -> np.ndarray:
        next(turns, None)
        return product(torch.from_numpy(v).to(like).ravel()).cpu().numpy()

    first = torch.from_numpy(rng.normals(rng.fan_out(seed, "top"), product.size)).to(like).cpu().numpy()
    operator = LinearOperator((product.size, product.size), matvec=apply, dtype=first.dtype)
    try:
        values, vectors = eigsh(operator, count, which="LA", v0=first, ncv=held, maxiter=RESTARTS, tol=TOLERANCE)
    except ArpackNoConvergence as error:
        values, vectors = error.eigenvalues, error.eigenvectors
    finally:
        turns.close()  # of two bars on a terminal the second is refused
    if not len(values):
        return none
    order = np.argsort(-values)
    basis, _ = torch.linalg.qr(torch.from_numpy(np.ascontiguousarray(vectors[:, order])).to(like))
    return values[order].astype(float), basis.T


def _without(v: Tensor, vectors: Tensor) -> Tensor:
    """What of v (D,) is orthogonal to orthonormal vectors (k, D)."""
    for _ in range(2):
        v = v - vectors.T @ (vectors @ v)
    return v


def _direction(seed: int, like: Tensor, vectors: Tensor) -> Tensor:
    """A random direction (D,) orthogonal to the vectors (k, D), with the square length D - k."""
    drawn = _without(torch.from_numpy(rng.normals(seed, len(like))).to(like), vectors)
    return drawn * ((len(like) - len(vectors)) ** 0.5 / drawn.norm())


def _rows(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Nodes and weights as (2, probes, m), with weights of zero where a probe has fewer than others."""
    found = np.zeros((2, len(pairs), max(len(nodes) for nodes, _ in pairs)))
    for number, (nodes, weights) in enumerate(pairs):
        found[:, number, : len(nodes)] = nodes, weights
    return found


def _flat(model: nn.Module, names: Sequence[str]) -> Tensor:
    return torch.cat([model.get_parameter(name).detach().reshape(-1) for name in names])


def _line(run: TrainedRun, names: Sequence[str], at: Sequence[float], some: Split) -> Iterator[tuple[float, float]]:
    """Loss and score at theta_0 + t delta, with the statistics of the solution."""
    ends = [{name: net.model.get_parameter(name).detach().clone() for name in names} for net in (run.start, run.net)]
    for t in tracked(at, "line"):
        for name in names:
            run.net.model.get_parameter(name).data.copy_(torch.lerp(ends[0][name], ends[1][name], t))
        found = evaluate(run.net, run.task, some)
        yield found["loss"], found[run.task.metric]


def _check(examples: int, split: str, top: int, probes: int, steps: int, precision: str) -> None:
    for name, value, least in (("examples", examples, 1), ("top", top, 0), ("probes", probes, 1), ("steps", steps, 2)):
        integer(name, value, least)
    for name, choice, known in (("split", split, SPLITS), ("precision", precision, PRECISIONS)):
        if choice not in known:
            raise UserError(f"need {name} to be {' or '.join(known)}, got {choice}")


if __name__ == "__main__":
    measure(curvature, seeds=False, method="full")
