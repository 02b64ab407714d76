"""The loss around theta_0, around the solution, and along the line from one to the other.

python -m experiments.landscape outputs/STUDY                   a file landscape.safetensors beside each record
python -m experiments.landscape outputs/STUDY --examples 64     a transformer on a CPU: it evaluates hundreds of points
python -m analysis.landscape outputs/STUDY                      draws them
"""

import itertools
import math

import torch
from torch import Tensor

from experiments.finished.guess import guess
from experiments.finished.measure import Measurement, measure
from experiments.finished.reopen import TrainedRun
from experiments.finished.subset import subset
from experiments.terminal.progress import tracked
from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.projections.identity import Identity
from intrinsic.subspace import Subspace
from intrinsic.training.evaluate import evaluate

SPLITS = ("train", "validation", "test")
BEYOND = 0.25  # of the line's length, or a step more, at both of its ends
Point = dict[str, Tensor]  # numbers of the net by name


def landscape(
    run: TrainedRun, *, points: int = 15, span: float = 1.0, examples: int = 500, split: str = "train", seed: int = 0
) -> Measurement:
    """Mean loss, and the task's score, at theta_c + a u + b v and at theta_0 + t (theta* - theta_0).

    All on the same examples; theta_c is theta_0, then the solution theta*. Under a projection, u and v are random
    orthonormal directions of z (what is trained beside z stays as it is at the centre), so that the plane lies in the
    subspace that was searched. With the identity they are directions of the trained numbers, filter by filter scaled to
    the norm of the solution's filter (Li et al. 2018; a row of a matrix is a filter, and a bias is one), then made
    orthogonal. Both are stretched to the length of theta* - theta_0 in the same coordinates: a = 1 is as far from the
    centre as the solution is from theta_0.

    Arrays: `axis` (points,), a and b; `start/loss`, `start/score`, `solution/loss`, `solution/score` (points, points),
    of [b, a]; `line/at` (m,), t, with theta_0 at 0 and the solution at 1; `line/loss`, `line/score` (m,). Evaluation
    mode, as for records: no dropout. What overflows is infinite or NaN.
    Cost: 2 points^2 + 1.5 points evaluations of the examples.

    Raises:
        UserError: for an option out of range, a single trained number, a solution that is theta_0, or redraws.
    Source: Li, Xu, Taylor, Studer, Goldstein 2018, Visualizing the loss landscape of neural nets, arXiv:1712.09913,
    section 4; the line to it: Goodfellow, Vinyals, Saxe 2015, arXiv:1412.6544.
    """
    _check(run, points, span, examples, split)
    some = subset(getattr(run.task, split), examples, seed)
    start, solution = position(run.start), position(run.net)
    trained = [name for name, p in run.net.named_parameters() if p.requires_grad]
    flat = isinstance(run.net.projection, Identity)
    moved = trained if flat else ["z"]
    length = norm({name: solution[name] - start[name] for name in moved})
    if not length > 0:
        raise UserError(f"the solution is theta_0 itself: nothing was learned under method={run.record.method}")
    u, v = directions({name: solution[name] for name in moved}, length, seed=seed, filters=flat)
    axis = torch.linspace(-span, span, points, dtype=torch.float64)
    steps = points - 1
    beyond = math.ceil(BEYOND * steps)
    at = torch.arange(-beyond, steps + beyond + 1, dtype=torch.float64) / steps

    def value(point: Point) -> tuple[float, float]:
        place = _numbers(run.net)
        for name, number in point.items():
            place[name].copy_(number)
        found = evaluate(run.net, run.task, some)
        return found["loss"], found[run.task.metric]

    arrays: dict[str, Tensor] = {"axis": axis, "line/at": at}
    grid = list(itertools.product(axis.tolist(), axis.tolist()))
    for name, centre in (("start", start), ("solution", solution)):
        found = [
            value(centre | {key: centre[key] + a * u[key] + b * v[key] for key in moved})
            for b, a in tracked(grid, f"around {name}")
        ]
        losses, scores = torch.tensor(found, dtype=torch.float64).T.reshape(2, points, points)
        arrays |= {f"{name}/loss": losses, f"{name}/score": scores}
    found = [
        value({name: torch.lerp(start[name], solution[name], t) for name in start})
        for t in tracked(at.tolist(), "line")
    ]
    arrays["line/loss"], arrays["line/score"] = torch.tensor(found, dtype=torch.float64).T
    values = {
        "metric": run.task.metric,
        "split": split,
        "examples": len(some),
        "trained": sum(start[name].numel() for name in trained),
        "distance": length,
        "guess": guess(run.task, some),
        "numbers": run.record.numbers,
    }
    return values, arrays


def position(net: Subspace) -> Point:
    """A copy of what differs between theta_0 and the solution: the trained numbers, and the model's statistics."""
    return {name: number.clone() for name, number in _numbers(net).items()}


def _numbers(net: Subspace) -> Point:
    trained = {name: p.detach() for name, p in net.named_parameters() if p.requires_grad}
    buffers = {f"model.{name}": buffer for name, buffer in net.model.named_buffers() if buffer.is_floating_point()}
    return trained | buffers


def norm(point: Point) -> float:
    """sqrt of the sum of squares of all numbers."""
    return sum(number.double().square().sum().item() for number in point.values()) ** 0.5


def directions(point: Point, length: float, *, seed: int, filters: bool) -> tuple[Point, Point]:
    """Two random orthogonal directions of this length; with `filters`, each filter's share is that of the point's."""
    drawn = []
    for number in range(2):
        way = {}
        for name, around in point.items():
            normals = rng.normals(rng.fan_out(seed, "direction", number, name), around.numel())
            noise = torch.from_numpy(normals).view_as(around).to(around)
            way[name] = _share(noise, around) if filters else noise
        drawn.append(way)
    u, v = drawn
    along = sum((u[name].double() * v[name]).sum().item() for name in u) / norm(u) ** 2
    v = {name: v[name] - along * u[name] for name in v}
    stretch = [length / norm(way) for way in (u, v)]
    return {name: u[name] * stretch[0] for name in u}, {name: v[name] * stretch[1] for name in v}


def _share(noise: Tensor, around: Tensor) -> Tensor:
    """noise_f |around_f| / |noise_f| for each filter f: a row, or the whole of what has one axis."""
    rows, own = (t.flatten(1) if t.ndim > 1 else t.reshape(1, -1) for t in (noise, around))
    return (rows / rows.norm(dim=1, keepdim=True) * own.norm(dim=1, keepdim=True)).view_as(noise)


def _check(run: TrainedRun, points: int, span: float, examples: int, split: str) -> None:
    if points < 3 or points % 2 == 0:
        raise UserError(f"need an odd number of points >= 3, so that the centre is one of them, got points={points}")
    if not 0 < span < float("inf"):
        raise UserError(f"need a finite span > 0, in distances from theta_0 to the solution, got span={span}")
    if examples < 1:
        raise UserError(f"need examples >= 1, got examples={examples}")
    if split not in SPLITS:
        raise UserError(f"need split to be {' or '.join(SPLITS)}, got {split}")
    trained = run.net.dim if isinstance(run.net.projection, Identity) else run.net.projection.dim
    if trained < 2:
        raise UserError(f"need two trainable parameters or more for a plane, got {trained}")
    if run.net.moves_base:
        raise UserError(
            "redraw has moved theta_0 before z was what it is, so that no line of z leads back: need redraw=null"
        )


if __name__ == "__main__":
    measure(landscape, seeds=False)
