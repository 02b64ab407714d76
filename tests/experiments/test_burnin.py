"""init=burnin: theta_0 is what full training on the run's own task has after some steps."""

import torch

from experiments.config.build import build
from experiments.run.setup import Setup
from intrinsic import rng
from intrinsic.subspace import Subspace
from intrinsic.training.fit import data_order, fit
from tests.support.configs import composed

OPTIONS = ["init=burnin", "method=subspace", "dim=20", "model.width=8", "dataset.fraction=0.2", "device=cpu"]


def setup(tmp_path, steps, seed=0):
    config = composed(*OPTIONS, f"init.steps={steps}", f"seed={seed}", f"output={tmp_path}")
    made = Setup(config)
    made.check()
    return made


def theta(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def test_theta_0_is_that_of_full_training(tmp_path):
    """Whole epochs are those of `fit`; what is left over, steps on some of the examples."""
    made = setup(tmp_path, 1)
    task, source = made.task, made.config["init"]["source"]
    per_epoch = -(-len(task.train) // source["batch_size"])
    extra = 2
    found = theta(setup(tmp_path, 2 * per_epoch + extra).net.model)
    net = Subspace(made.reader.model(task, 0))
    optimizer = build(source["optim"], "optim")(net.parameters())
    seed = rng.fan_out(0, "training")
    list(fit(net, task, optimizer, epochs=2, batch_size=source["batch_size"], seed=seed))
    count = extra * source["batch_size"]
    some = data_order(rng.fan_out(0, "rest"), len(task.train))[:count]
    for part in some[data_order(rng.fan_out(seed, "epoch", 1), count)].split(source["batch_size"]):
        optimizer.zero_grad()
        task.loss(net(task.train.inputs[part]), task.train.targets[part]).backward()
        optimizer.step()
    assert torch.equal(found, theta(net.model))


def test_each_seed_has_its_own_beginning(tmp_path):
    first, second = (theta(setup(tmp_path, 3, seed).net.model) for seed in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first, theta(setup(tmp_path, 3, 0).net.model))
