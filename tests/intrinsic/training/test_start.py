"""The start of a run and the constant predictor, against counts by hand."""

import torch

import intrinsic
from intrinsic.data.toy import toy
from intrinsic.models.sums import Sums
from intrinsic.tasks.metrics import METRICS
from intrinsic.tasks.task import Split, Task, classification
from intrinsic.training.start import constant_score, start


def split(*classes):
    return Split(torch.arange(2.0 * len(classes)).reshape(-1, 2), torch.tensor(classes))


def test_the_start_is_that_of_the_model_itself():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    task = classification(split(0, 1, 1, 2, 1), split(1, 2), split(0, 1, 1), num_outputs=3)
    expected = model.eval()(task.test.inputs).argmax(-1).eq(task.test.targets).double().mean().item()
    model.train()
    net = intrinsic.Subspace(model, projection=intrinsic.OneHot, dim=4)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.random.get_rng_state()
    found = start(net, task)
    assert found["epoch"] == 0
    assert found["test"]["accuracy"] == expected
    assert found["constant"] == {"train": 3 / 5, "validation": 1 / 2, "test": 2 / 3}  # class 1, of the training data
    assert net.training
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_the_constant_of_a_regression_is_the_mean():
    task = toy(steps=3)
    assert constant_score(task, task.test) == 1  # a single example is its own mean
    values = Split(torch.zeros(4, 1), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    names = ("pearson", "spearman")

    def metrics(outputs, targets):
        return {name: METRICS[name](outputs, targets) for name in names}

    task = Task(values, values, values, 1, loss=torch.nn.functional.mse_loss, metrics=metrics, metric="pearson")
    assert constant_score(task, task.test) == 0


def test_the_toy_starts_at_its_published_loss():
    net = intrinsic.Subspace(Sums((1,), 10, full_dim=1000), projection=intrinsic.Sparse, dim=10)
    assert start(net, toy(steps=1))["test"]["loss"] == 38.5
