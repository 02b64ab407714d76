"""Datasets: one contract for every file in conf/dataset, then what digits and the toy task promise."""

import contextlib
import math
import random
from functools import cache
from importlib import import_module

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from intrinsic.data import digits as digits_module
from intrinsic.data.digits import digits
from intrinsic.data.toy import toy
from intrinsic.errors import UserError
from intrinsic.models.sums import Sums
from tests.support.configs import CONF
from tests.support.images import PLAIN
from tests.support.network import no_network

CONFIGS = sorted((CONF / "dataset").glob("*.yaml"))


@pytest.fixture(autouse=True)
def closed_hub(monkeypatch, offline):
    """Without a network; the hub's client has ways of its own."""
    with contextlib.suppress(ImportError):
        import datasets

        monkeypatch.setattr(datasets, "load_dataset", no_network)


@cache
def settings(path):
    """Read a YAML file with what it inherits, as a dict."""
    with initialize_config_dir(str(path.parent.parent), version_base="1.3"):
        return OmegaConf.to_container(compose(f"dataset/{path.stem}").dataset, resolve=False)


def load(path, *, data_dir=None, **changes):
    """Build the dataset of a YAML file."""
    options = settings(path) | changes
    module, name = options.pop("_target_").rsplit(".", 1)
    options = {key: data_dir if value == "${data_dir}" else value for key, value in options.items()}
    return getattr(import_module(module), name)(**options)


def build(path):
    """Build the dataset of a YAML file; skip when its files are neither in INTRINSIC_DATA nor in the cache."""
    try:
        return load(path)
    except UserError as error:
        if "need dataset.f" in str(error):
            pytest.skip("files of one's own: test_text.py, test_labelled_text.py and test_images.py of tests/intrinsic")
        if "is missing: pip install" in str(error):
            pytest.skip(str(error))
        if "cannot download" not in str(error):
            raise
        pytest.skip(f"set INTRINSIC_DATA to a folder with the files: {error}")


built = cache(build)
every_dataset = pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])


def splits(task):
    return task.train, task.validation, task.test


def same(task, other):
    pairs = zip(splits(task), splits(other), strict=True)
    return all(torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets) for a, b in pairs)


@every_dataset
def test_contract(path):
    task = built(path)
    if task.environment is not None:
        pytest.skip("episodes: tests/intrinsic/training/test_evolution.py, tests/intrinsic/tasks/test_gymnasium.py")
    if task.generation is not None:
        pytest.skip("prompts, before a tokenizer cuts them: tests/intrinsic/data/test_arithmetic.py")
    for split in splits(task):
        assert len(split) == len(split.inputs) == len(split.targets) > 0
        assert split.inputs.shape[1:] == task.input_shape
        assert split.inputs.is_contiguous()
        if split.inputs.is_floating_point():
            assert split.inputs.dtype == torch.float32
            assert 0 <= split.inputs.min() <= split.inputs.max() <= 1
        outputs = torch.randn(min(len(split), 7), task.num_outputs, generator=torch.Generator().manual_seed(0))
        targets = split.targets[:7]
        each = torch.stack([task.loss(o[None], t[None]) for o, t in zip(outputs, targets, strict=True)])
        torch.testing.assert_close(task.loss(outputs, targets), each.mean())
        if task.score is None:  # its metrics are of whole splits
            assert task.metric in task.metrics(outputs, targets)
            continue
        score = task.score(outputs, targets)
        assert score.shape == (len(outputs),)
        assert score.is_floating_point()
        if task.metric == "accuracy":
            assert targets.dtype == torch.int64
            assert set(split.targets.tolist()) == set(range(task.num_outputs))
            assert score.tolist() == [float(o.argmax() == t) for o, t in zip(outputs, targets, strict=True)]


@every_dataset
def test_splits_share_no_example(path):
    task = built(path)
    if task.metric == "performance":
        pytest.skip("the toy task has one example by design")
    found = [{row.tobytes() for row in split.inputs.numpy()} for split in splits(task)]
    assert not found[0] & found[1]
    assert not found[0] & found[2]
    assert not found[1] & found[2]


@every_dataset
def test_global_random_state_is_neither_used_nor_changed(path):
    torch.manual_seed(1), np.random.seed(1), random.seed(1)  # noqa: NPY002 (the global state is what is tested)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    task = build(path)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]
    assert same(task, built(path))  # which saw another state


@every_dataset
def test_to_moves_every_tensor(path):
    moved = built(path).to("meta")
    assert {tensor.device.type for split in splits(moved) for tensor in (split.inputs, split.targets)} == {"meta"}
    assert moved.input_shape == built(path).input_shape


@every_dataset
def test_absent_and_offline_is_one_line_that_says_what_to_do(path, tmp_path):
    if "data_dir" not in settings(path):
        pytest.skip("needs no files")
    with pytest.raises(UserError, match=r"cannot download .*no network in tests.*: put .* yourself") as caught:
        load(path, data_dir=str(tmp_path))
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in (f"into {tmp_path}", "INTRINSIC_DATA", "data_dir=..."))
    assert not list(tmp_path.iterdir())


@every_dataset
def test_bad_options_are_refused_before_files_are_looked_for(path, tmp_path):
    if "fraction" not in settings(path):
        pytest.skip("has no such options")
    with pytest.raises(UserError, match="need 0 < fraction <= 1, got fraction=2"):
        load(path, data_dir=str(tmp_path), fraction=2)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("digits", [1079, 359, 359]),
        ("mnist", [50_000, 10_000, 10_000]),
        ("fashion_mnist", [50_000, 10_000, 10_000]),
        ("cifar10", [45_000, 5_000, 10_000]),
    ],
)
def test_published_sizes(name, sizes):
    path = next(path for path in CONFIGS if path.stem == name)
    assert [len(split) for split in splits(built(path))] == sizes


def test_digits_split_depends_on_the_seed_alone():
    plain, changed = digits(**PLAIN), digits(**{**PLAIN, "shuffle_labels": True, "fraction": 0.5})
    assert torch.equal(plain.test.inputs, changed.test.inputs)
    assert {row.tobytes() for row in changed.train.inputs.numpy()} < {
        row.tobytes() for row in plain.train.inputs.numpy()
    }
    assert not torch.equal(plain.test.inputs, digits(**{**PLAIN, "seed": 1}).test.inputs)


def test_toy_is_solved_by_a_hand_built_solution():
    task, model = toy(steps=3), Sums((1,), 10, full_dim=1000)
    assert [len(split) for split in splits(task)] == [3, 1, 1]
    zero = model(task.train.inputs)
    assert zero.shape == (3, 10)
    assert task.loss(zero, task.train.targets).item() == 38.5  # (1 + 4 + ... + 100) / 10
    near = torch.arange(1.0, 11).repeat(2, 1)
    near[0, 3] += 1
    torch.testing.assert_close(task.score(near, task.train.targets[:2]), torch.tensor([math.exp(-0.1), 1.0]))
    torch.testing.assert_close(task.loss(near, task.train.targets[:2]), torch.tensor(0.05))
    solution = torch.zeros(1000)
    solution[99::100] = torch.arange(1.0, 11)  # the last parameter of each hundred
    model.load_state_dict({"weight": solution})
    assert task.loss(model(task.test.inputs), task.test.targets).item() == 0
    assert task.score(model(task.test.inputs), task.test.targets).tolist() == [1.0]
    assert task.metric == "performance"


@pytest.mark.parametrize("steps", [0, 1.5, True])
def test_toy_needs_steps(steps):
    with pytest.raises(UserError, match="need an integer steps >= 1"):
        toy(steps=steps)


def test_digits_are_those_of_scikit_learn(monkeypatch):
    """By the file that is known, and by scikit-learn itself where it has another."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    expected = np.column_stack([bunch.data, bunch.target])
    np.testing.assert_array_equal(digits_module._read(), expected)
    monkeypatch.setattr(digits_module, "SHA256", "another")
    np.testing.assert_array_equal(digits_module._read(), expected)
