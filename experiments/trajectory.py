"""The way of a full training: theta_t - theta_0 at several moments, for `projection=trajectory`.

python -m experiments.trajectory outputs/STUDY       a file trajectory.safetensors beside each record of method=full
python run.py method=subspace projection=trajectory projection.file=outputs/STUDY/RUN/trajectory.safetensors dim=10
"""

from typing import Any

import torch
from torch import Tensor

from experiments.finished.measure import Measurement, measure
from experiments.finished.reopen import TrainedRun
from experiments.run.setup import Setup
from experiments.terminal.progress import Progress
from intrinsic.checks import check_memory, integer
from intrinsic.errors import UserError
from intrinsic.projections.trajectory import OFFSETS
from intrinsic.training.fit import fit


def trajectory(run: TrainedRun, *, moments: int = 50) -> Measurement:
    """Train the run again, and note theta - theta_0 after every so many steps.

    Arrays: `offsets` (moments, D) float32, D the weights that move, in the order of the space. Values: the step of each
    moment, and `error`, the largest difference of a weight at the end to what the run has left (0 on the same machine).
    Options: how many moments, evenly spaced, the last step among them. Memory: 4 moments D bytes. Time: of the run.

    Raises:
        UserError: for a run whose weights are not trained as they are, episodes, and more moments than steps.
    """
    setup = Setup(run.setup.config)
    net, task, optimizer = setup.net, setup.task, setup.optimizer
    if not net.identity or net.trained_names != set(net.coordinate_names):
        raise UserError(f"the way is that of weights that are trained as they are, got method={run.record.method}")
    lasted = run.record.epochs() or setup.epochs  # fewer than were asked for where patience ended it
    steps = lasted * -(-len(task.train) // setup.numbers["batch_size"])
    if integer("moments", moments, 1) > steps:
        raise UserError(f"the run has {steps} steps, got moments={moments}: use fewer")
    check_memory(4 * moments * net.full_dim, f"moments={moments}")
    at = [round((k + 1) * steps / moments) for k in range(moments)]
    origin = _flat(net)
    offsets: list[Tensor] = []
    taken = 0

    def note(*_: Any) -> None:
        nonlocal taken
        taken += 1
        if taken == at[min(len(offsets), moments - 1)]:
            offsets.append(_flat(net) - origin)

    optimizer.register_step_post_hook(note)
    schedule = setup.schedule
    options = {**setup.numbers, **setup.training_seeds}
    epochs = fit(net, task, optimizer, **options, schedule=schedule.make, interval=schedule.interval)
    with Progress(setup.epochs, task.metric) as progress:
        for epoch in epochs:
            progress.show(epoch)
    error = float((_flat(net) - _flat(run.net)).abs().max())
    return {"steps": at[: len(offsets)], "error": error}, {OFFSETS: torch.stack(offsets)}


def _flat(net: Any) -> Tensor:
    weights = net.weights()
    return torch.cat([weights[name].detach().reshape(-1) for name in net.coordinate_names]).float()


if __name__ == "__main__":
    measure(trajectory, method="full")
