"""The cost of one training step, and where its gradients go.

python -m experiments.anatomy outputs/STUDY         a file anatomy.safetensors beside each method's record
python -m analysis.anatomy outputs/STUDY            draws them
"""

import torch

from experiments.finished.measure import Measurement, measure
from experiments.finished.reopen import TrainedRun
from experiments.step.lora_identities import lora_identities
from experiments.step.step_costs import step_costs
from intrinsic.errors import UserError
from intrinsic.tasks.batches import batches


def anatomy(run: TrainedRun, *, batch: int = 32) -> Measurement:
    """Count a step of the run's optimiser from the trained weights, on the first `batch` training examples.

    - `flops`, `bytes`, `peak` and `graph`: see `step_costs`.
    - `identities`: see `lora_identities`; `batch`: shape of the inputs.

    Raises:
        UserError: unless 1 <= batch <= the count of training examples.
    """
    split = run.task.train
    if not 1 <= batch <= len(split):
        raise UserError(f"need 1 <= batch <= {len(split)} training examples, got batch={batch}")
    order = torch.arange(batch)
    inputs, targets = next(iter(batches(split, order, batch)))
    l2, loss = run.setup.l2_weights, run.task.loss
    with torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []):
        torch.manual_seed(0)  # of dropout
        values = step_costs(run.net, loss, (inputs, targets), run.setup.make_optimizer, l2)
        values["identities"] = lora_identities(run.net, loss, (inputs, targets))
    return {**values, "batch": list(inputs.shape), "method": run.record.method, "numbers": run.record.numbers}, {}


if __name__ == "__main__":
    measure(anatomy, seeds=False)
