"""When a scheduler steps: with the optimiser or once an epoch, as its class or a config says."""

import json
from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR

import intrinsic
from experiments.run.setup import Setup
from intrinsic.errors import UserError
from intrinsic.files.run_id import run_id
from intrinsic.tasks.task import Split, classification
from intrinsic.training.fit import fit
from intrinsic.training.fit_replicas import fit_replicas
from tests.support.commands import QUICK, run
from tests.support.configs import composed

pytestmark = pytest.mark.slow

EPOCHS, STEPS = 3, 4  # 10 examples in batches of 3
OPTIONS = {"epochs": EPOCHS, "batch_size": 3}


def task():
    split = Split(torch.rand(10, 3, generator=torch.Generator().manual_seed(0)), torch.arange(10) % 2)
    return classification(split, split, split, num_outputs=2)


def net():
    torch.manual_seed(0)
    return intrinsic.Subspace(torch.nn.Linear(3, 2))


def rates(schedule, interval=None, history=0):
    """The learning rate of each step, after so many epochs."""
    model = net()
    optimizer, found = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9), []
    optimizer.register_step_pre_hook(lambda *_: found.append(optimizer.param_groups[0]["lr"]))
    epochs = list(fit(net(), task(), torch.optim.SGD(net().parameters(), lr=0.0), seed=0, **OPTIONS)) if history else []
    how = {"schedule": schedule, "interval": interval, "history": epochs[:history], **OPTIONS}
    list(fit(model, task(), optimizer, seed=0, **how))
    return found


def one_cycle(total):
    """The rates of torch's own scheduler, step by step."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5, momentum=0.9)
    scheduler, found = OneCycleLR(optimizer, max_lr=0.5, total_steps=total), []
    for _ in range(total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_a_scheduler_of_torch_steps_by_the_epoch_or_by_the_step():
    schedule = partial(ExponentialLR, gamma=0.9)
    each_epoch = [0.5 * 0.9**epoch for epoch in range(EPOCHS) for _ in range(STEPS)]
    assert rates(schedule) == rates(schedule, "epoch") == pytest.approx(each_epoch)
    assert rates(schedule, "step") == pytest.approx([0.5 * 0.9**step for step in range(EPOCHS * STEPS)])


def test_it_goes_on_where_it_was():
    schedule = partial(ExponentialLR, gamma=0.9)
    assert rates(schedule, "step", history=2) == rates(schedule, "step")[2 * STEPS :]
    assert rates(schedule, "epoch", history=2) == rates(schedule, "epoch")[2 * STEPS :]


def test_it_is_told_how_often_it_steps():
    schedule = partial(OneCycleLR, max_lr=0.5, epochs=EPOCHS)
    assert rates(schedule, "step") == pytest.approx(one_cycle(EPOCHS * STEPS))
    assert rates(schedule) == pytest.approx([rate for rate in one_cycle(EPOCHS) for _ in range(STEPS)])
    assert rates(partial(schedule, steps_per_epoch=20), "step") == pytest.approx(one_cycle(60)[: EPOCHS * STEPS])


def test_replicas_have_the_same():
    how = {"schedule": partial(ExponentialLR, gamma=0.5), "interval": "step", **OPTIONS}
    alone = list(fit(model := net(), task(), torch.optim.SGD(model.parameters(), lr=0.5), seed=7, **how))
    together = list(fit_replicas([net()], task(), partial(torch.optim.SGD, lr=0.0), lrs=[0.5], seeds=[7], **how))
    assert [e.validation["loss"] for _, e, _ in together] == pytest.approx([e.validation["loss"] for e in alone])


@pytest.mark.parametrize("interval", ["batch", "", 1, [], True])
def test_another_interval(interval):
    with pytest.raises(UserError, match=r"need schedule\.interval to be step or epoch, got interval="):
        rates(partial(ExponentialLR, gamma=0.9), interval)


@pytest.mark.parametrize("interval", ["step", "epoch"])
@pytest.mark.usefixtures("surroundings")
def test_a_file_of_one_schedule_is_enough(interval, tmp_path):
    (tmp_path / "more" / "schedule").mkdir(parents=True)
    (tmp_path / "more" / "schedule" / "one_cycle.yaml").write_text(
        f"_target_: torch.optim.lr_scheduler.OneCycleLR\n_partial_: true\ninterval: {interval}\n"
        "max_lr: ${lr}\nepochs: ${epochs}\n"
    )
    assert run(f"--config-dir={tmp_path / 'more'} schedule=one_cycle {QUICK}", tmp_path / "out") == 0
    (record,) = (tmp_path / "out").rglob("record.json")
    config = json.loads(record.read_text())["config"]
    assert config["schedule"]["interval"] == interval
    assert Setup(config).schedule.interval == interval


def test_a_config_says_when():
    plain = composed("schedule=cosine")
    stepping = {**plain, "schedule": {**plain["schedule"], "interval": "step"}}
    assert (Setup(plain).schedule.interval, Setup(stepping).schedule.interval) == (None, "step")
    assert run_id(plain) != run_id(stepping)
    assert Setup(composed()).schedule.make is None


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["+schedule.interval=batch"], "need schedule.interval to be step or epoch, got interval='batch'"),
        (["+schedule.interval=step", "schedule.T_max=0"], "CosineAnnealingLR cannot take a step with {.*: .* by zero"),
    ],
)
def test_bad_configs(more, match):
    with pytest.raises(UserError, match=match):
        Setup(composed("schedule=cosine", *more)).check()
