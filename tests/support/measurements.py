"""Measurements of finished runs, in this process."""

import torch

from experiments.finished.reopen import TrainedRun
from experiments.run.setup import Setup
from intrinsic.files.records import Record, read_record
from intrinsic.tasks.task import Split, classification
from tests.support.commands import here, run
from tests.support.configs import ROOT


def measure(name, *arguments):
    """The exit status of `python -m experiments.<name> <arguments>`."""
    return here(ROOT / "experiments" / f"{name}.py", *arguments)


def make_study(tmp_path_factory):
    """A fixture: full fine-tuning, LoRA and a subspace on embedded digits, a few epochs each."""
    output = tmp_path_factory.mktemp("inside")
    for command in ("-m method=full seed=0,1", "-m rank=1,2", "method=subspace dim=20", "method=head"):
        assert run(f"{command} study=inside epochs=4", output) == 0
    return output / "inside"


def folders(study, method):
    """The runs of a method, in the order of their seeds."""
    records = [(read_record(path.parent), path.parent) for path in study.glob("*/record.json")]
    found = [(record.config["seed"], folder) for record, folder in records if record.method == method]
    return [folder for _, folder in sorted(found)]


def reopened(start, net, task, method="full"):
    """Two nets as a run that ended."""
    setup = Setup({"seed": 3})
    setup.device, setup.task = torch.device("cpu"), task
    return TrainedRun(Record(status="finished", method=method, numbers=net.count(), config={}), setup, start, net)


def labelled(model, inputs, num_outputs):
    """A task whose every split has the model's own answers, but for a tenth of the examples."""
    with torch.no_grad():
        targets = model(inputs).argmax(-1)
    targets[::10] = (targets[::10] + 1) % num_outputs
    split = Split(inputs, targets)
    return classification(split, split, split, num_outputs=num_outputs)
