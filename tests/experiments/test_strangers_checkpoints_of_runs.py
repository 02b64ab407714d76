"""Checkpoints of half-finished runs that somebody else wrote, and recipes nested too deep: one line each."""

import copy

import pytest
import torch
from torch import nn

import intrinsic
from experiments.run.state import RunState, checksum
from intrinsic.errors import UserError
from intrinsic.files.tensors import read_tensors, write_tensors
from intrinsic.training.epoch import Epoch


def made(path):
    torch.manual_seed(0)
    net = intrinsic.Subspace(nn.Linear(4, 3), projection=intrinsic.Dense, dim=5)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    return RunState(path, net, optimizer, every=0)


@pytest.fixture
def state(tmp_path):
    path = tmp_path / "0123456789ab" / "state.safetensors"
    run = made(path)
    for number in (1, 2):
        run.add(Epoch(number, 0.5, {"loss": 0.5, "accuracy": 0.25}, None, True, 1.0))
    return path


def changed(metadata, key, value):
    other = copy.deepcopy(metadata)
    if key in other:
        other[key] = value
    else:
        other["history"][1][key] = value
    return other


def test_a_checkpoint_comes_back(state):
    assert [epoch.epoch for epoch in made(state).load()] == [1, 2]


STRANGE = (None, "x", [], {}, [1], {"a": 1}, [None], -1, True, [[]], {"loss": "x"}, {"loss": None})
KEYS = ("history", "seconds", "optimizer", "epoch", "train_loss", "validation", "test", "best", "unknown")
FINE = {  # what says nothing, or what a run may have
    ("optimizer", "{}"),
    ("test", "None"),
    ("best", "True"),
    ("train_loss", "-1"),
    ("seconds", "-1"),
}


@pytest.mark.parametrize("key", KEYS)
def test_other_kinds_of_values_end_in_one_line(key, state):
    tensors, metadata = read_tensors(state)
    del metadata["checksum"]
    for value in STRANGE:
        other = changed(metadata, key, value)
        write_tensors(state, tensors, {**other, "checksum": checksum(tensors, other)})
        run = made(state)
        if (key, str(value)) in FINE:
            assert len(run.load()) == 2
            continue
        with pytest.raises(
            UserError, match=r"is not a checkpoint of a run \(.*; delete it to start this run again"
        ) as caught:
            run.load()
        assert len(str(caught.value)) < 500 + len(str(state))
        assert str(caught.value).isprintable()
        assert run.history == []


@pytest.mark.parametrize("depth", [100, 700, 900])
def test_a_recipe_nested_deep(depth, tmp_path):
    def model():
        return nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))

    path = tmp_path / "net"
    intrinsic.save(intrinsic.Subspace(model(), space=intrinsic.LoRA(2)), path)
    tensors, metadata = read_tensors(path)
    deep = 1
    for _ in range(depth):
        deep = [deep]
    metadata["recipe"]["space_options"]["targets"] = deep
    write_tensors(path, tensors, metadata)
    fresh = model()
    with pytest.raises(UserError, match=r"need targets as a name|recipe that this version cannot read: maximum recurs"):
        intrinsic.load(fresh, path)
    assert [type(module) for module in fresh] == [nn.Linear, nn.Linear]


def test_a_bit_that_fell_over_is_noticed(state):
    content = bytearray(state.read_bytes())
    content[-3] ^= 64  # in the tensors, which come last
    state.write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged: it does not hold the numbers that were written; delete it to"):
        made(state).load()


def test_one_without_a_checksum_is_an_earlier_versions(state):
    tensors, metadata = read_tensors(state)
    del metadata["checksum"]
    write_tensors(state, tensors, metadata)
    assert len(made(state).load()) == 2


def test_without_room_for_a_checkpoint_a_run_goes_on(state, capsys):
    run = made(state / "no folder" / "state.safetensors")
    for number in (1, 2):
        run.add(Epoch(number, 0.5, {"loss": 0.5}, None, True, 1.0))
    assert len(run.history) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"continues without a checkpoint: cannot write to {state}")
    assert err.count("\n") == 1
