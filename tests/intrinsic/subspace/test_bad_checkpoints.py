"""Every file that is not a checkpoint of this model ends in one line, and leaves the model as it was."""

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

import intrinsic
from intrinsic.files.tensors import read_tensors, write_tensors
from tests.support.configs import files


def network(width=8, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, width), nn.Linear(width, 3))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "run.safetensors"
    net = intrinsic.Subspace(network(), space=intrinsic.LoRA(rank=2), projection=intrinsic.Dense, dim=5)
    intrinsic.save(net, path)
    return path


def change_recipe(path, **changes):
    tensors, metadata = read_tensors(path)
    write_tensors(path, tensors, metadata | {"recipe": metadata["recipe"] | changes})


def absent(path):
    path.unlink()


def damaged(path):
    path.write_bytes(path.read_bytes()[:-3])


def no_safetensors(path):
    path.write_text("a pickle, or a picture")


def of_another_program(path):
    save_file({"weight": torch.zeros(3)}, path)


def with_strange_metadata(path):
    save_file({"weight": torch.zeros(3)}, path, {"intrinsic": "3"})


def without_recipe(path):
    write_tensors(path, {"z": torch.zeros(5)}, {"fingerprint": "0"})


def with_another_space(path):
    change_recipe(path, space="system")


def with_another_projection(path):
    change_recipe(path, projection="Subspace")


def with_another_option(path):
    change_recipe(path, space_options={"rank": 2, "colour": "red"})


def with_another_rank(path):
    change_recipe(path, space_options={"rank": 0})


def with_other_tensors(path):
    _, metadata = read_tensors(path)
    write_tensors(path, {"z": torch.zeros(4)}, metadata)


def untouched(path):
    return


@pytest.mark.parametrize(
    ("change", "model", "match"),
    [
        (absent, network(), "there is no file .*run.safetensors"),
        (damaged, network(), "run.safetensors is damaged or not a safetensors file: "),
        (no_safetensors, network(), "run.safetensors is damaged or not a safetensors file: "),
        (of_another_program, network(), "run.safetensors was not written by intrinsic"),
        (with_strange_metadata, network(), "run.safetensors was not written by intrinsic"),
        (without_recipe, network(), "run.safetensors was not written by intrinsic.save"),
        (with_another_space, network(), "system is not a space of this library: make the Subspace yourself and load"),
        (
            with_another_projection,
            network(),
            "Subspace is not a projection of this library: make the Subspace yourself",
        ),
        (with_another_option, network(), "has a recipe that this version cannot read: .*'colour'"),
        (with_another_rank, network(), "need an integer rank >= 1, got rank=0"),
        (with_other_tensors, network(), r"belongs to another model: it holds {'z': \(4,\)}"),
        (untouched, network(seed=1), "belongs to another model or seed: its fingerprint is [0-9a-f]+, here it is"),
        (untouched, network(width=9), "belongs to another model or seed: its fingerprint is"),
        (untouched, nn.Sequential(nn.Linear(4, 3)), "has no linear layer but its head"),
    ],
)
def test_bad_checkpoint(saved, change, model, match):
    change(saved)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(intrinsic.UserError, match=match) as caught:
        intrinsic.load(model, saved)
    assert "\n" not in str(caught.value)
    assert before.keys() == model.state_dict().keys()  # the model is as it was
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_checkpoint_of_another_seed(saved):
    options = {"space": intrinsic.LoRA(rank=2), "projection": intrinsic.Dense, "dim": 5}
    net = intrinsic.Subspace(network(), **options, seed=1)
    with pytest.raises(intrinsic.UserError, match="belongs to another model or seed"):
        intrinsic.load(net, saved)
    intrinsic.load(intrinsic.Subspace(network(), **options, seed=0), saved)


def test_checkpoint_that_cannot_be_written(saved, tmp_path, monkeypatch):
    net = intrinsic.load(network(), saved)
    (tmp_path / "file").touch()
    before = files(tmp_path)
    with pytest.raises(intrinsic.UserError, match=r"cannot use the path .*file/run' \(Not a directory\)"):
        intrinsic.save(net, tmp_path / "file" / "run")

    def disk_is_full(*_args, **_kwargs):
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr("intrinsic.files.tensors.save_file", disk_is_full)
    with pytest.raises(intrinsic.UserError, match=r"cannot write .*run.safetensors: .*No space left on device; give"):
        intrinsic.save(net, saved)
    assert files(tmp_path) == before
