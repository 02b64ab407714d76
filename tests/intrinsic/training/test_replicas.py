"""Replicas: runs that are trained at once are the runs that they would be one by one."""

import warnings
from functools import partial

import pytest
import torch
from torch import nn

import intrinsic
from experiments.config.build import build
from intrinsic.tasks.task import Split, classification
from intrinsic.training.fit_replicas import fit_replicas
from tests.support.configs import composed, names
from tests.support.replica_nets import SEEDS, both, task

pytestmark = pytest.mark.slow

# sums over stacked tensors are rounded otherwise than over single ones: by 1e-16 a step, which training amplifies
EXACT = {"rtol": 1e-9, "atol": 1e-11}


NETS = {
    "full": intrinsic.Subspace,
    "fastfood": partial(intrinsic.Subspace, projection=intrinsic.Fastfood, dim=20),
    "onehot": partial(intrinsic.Subspace, projection=intrinsic.OneHot, dim=20, granularity="block"),
    "said": partial(intrinsic.Subspace, projection=intrinsic.Dense, dim=20, scales="layer"),
    "lora": partial(intrinsic.Subspace, space=intrinsic.LoRA(rank=2), head="train"),
    "unilora": partial(
        intrinsic.Subspace, space=intrinsic.LoRA(rank=2), projection=intrinsic.OneHot, dim=9, head="train"
    ),
    "bitfit": partial(intrinsic.Subspace, space=intrinsic.BitFit()),
    "head": partial(intrinsic.Subspace, space=intrinsic.Head()),
}
OPTIMIZERS = {
    "adam": partial(torch.optim.Adam, weight_decay=0.01),
    "adamw": partial(torch.optim.AdamW, amsgrad=True),
    "fused adam": partial(torch.optim.Adam, fused=True),
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "plain sgd": torch.optim.SGD,
}


def assert_equal(separate, replicated):
    for net, other, history, found in zip(*separate[:1], *replicated[:1], separate[1], replicated[1], strict=True):
        assert len(found) == len(history)
        for mine, epoch in zip(found, history, strict=True):
            assert (mine.epoch, mine.best, mine.test is None) == (epoch.epoch, epoch.best, epoch.test is None)
            # the mean of the training losses is taken in float32
            assert mine.train_loss == pytest.approx(epoch.train_loss, rel=1e-6, nan_ok=True)
            assert mine.validation == pytest.approx(epoch.validation, rel=1e-9, nan_ok=True)
            assert mine.test is None or mine.test == pytest.approx(epoch.test, rel=1e-9, nan_ok=True)
        for mine, value in zip(other.state_dict().values(), net.state_dict().values(), strict=True):
            torch.testing.assert_close(mine, value, **EXACT, equal_nan=True)


@pytest.mark.parametrize(("name", "groups"), [("said", {"lambdas": 0.3}), ("lora", {"lora_B": 4, "head": 0.5})])
def test_replicas_have_the_rates_of_groups(name, groups):
    assert_equal(*both(NETS[name], groups=groups))


@pytest.mark.parametrize("name", NETS)
def test_replicas_are_separate_runs(name):
    schedule = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=3)
    separate, replicated = both(NETS[name], schedule=schedule, l2_weights=0.01)
    assert_equal(separate, replicated)
    finals = [history[-1].validation["loss"] for history in replicated[1]]
    assert len(set(finals)) == len(SEEDS)  # each its own


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_act_as_on_one(optimizer):
    assert_equal(*both(NETS["lora"], OPTIMIZERS[optimizer]))


@pytest.mark.parametrize("model", names("model"))
def test_every_model_can_be_replicated(model):
    """In its parts that vmap knows, or it would warn that it runs them one by one."""
    if "tokenizer" in composed(f"model={model}"):
        pytest.skip("batches of text are refused")
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(20, 1, 24, 24, generator=generator, dtype=torch.float64)
    split = Split(inputs, torch.arange(20) % 10)

    node = composed(f"model={model}", "init=scratch")["model"]
    node = node | {key: value for key, value in {"dropout": 0.0, "side": 32}.items() if key in node}  # chance differs

    def of(seed):
        torch.manual_seed(seed)
        return build(node, "model")((1, 24, 24), 10).double()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        options = {"epochs": 1, "data": classification(split, split, split, num_outputs=10)}
        assert_equal(*both(NETS["fastfood"], torch.optim.SGD, of=of, seeds=[0, 1], lrs=[0.1, 0.01], **options))


def test_single_beside_double_precision():
    """Parameters of two dtypes, z in the higher one."""

    class Single(nn.Linear):
        def forward(self, x):
            return super().forward(x.float())

    def of(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 4).double(), Single(4, 2))

    separate, replicated = both(NETS["fastfood"], of=of)
    for history, found in zip(separate[1], replicated[1], strict=True):
        # single precision inside, and its rounding through a dozen steps
        assert found[-1].validation["loss"] == pytest.approx(history[-1].validation["loss"], rel=1e-4)


@pytest.mark.parametrize("name", ["full", "fastfood"])
def test_one_that_diverges_leaves_the_others_right(name):
    separate, replicated = both(NETS[name], torch.optim.SGD, lrs=[0.05, 1e200, 0.01, 1e200], epochs=4)
    assert [history[-1].diverged for history in replicated[1]] == [False, True, False, True]
    assert len(replicated[1][1]) < 4 == len(replicated[1][0])
    assert_equal(separate, replicated)


def test_patience_acts_on_each():
    """One of them learns nothing, and stays as it was when it ran out of patience."""
    lrs = [0.05, 0.0, 0.05, 0.0]

    def still(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2)).double()

    separate, replicated = both(NETS["full"], lrs=lrs, of=still, epochs=9, patience=3)
    lengths = [len(history) for history in replicated[1]]
    assert lengths[1] == lengths[3] == 4
    assert min(lengths[0], lengths[2]) > 4
    assert_equal(separate, replicated)


def test_dropout_is_drawn_for_each_and_again_the_same():
    """The same net, data order and learning rate twice: only the dropout differs."""

    def dropped(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 64), nn.Dropout(0.5), nn.Linear(64, 2))

    def losses():
        nets = [intrinsic.Subspace(dropped(0)) for _ in range(2)]
        options = {"lrs": [0.01, 0.01], "seeds": [0, 0], "epochs": 1, "batch_size": 16}
        data = task()
        data = classification(
            *(Split(s.inputs.float(), s.targets) for s in (data.train, data.validation, data.test)), num_outputs=2
        )
        torch.manual_seed(len(seen))
        return [epoch.train_loss for _, epoch, _ in fit_replicas(nets, data, torch.optim.SGD, **options)]

    seen = []
    seen += losses()
    assert seen[0] != seen[1]
    assert losses() == seen
