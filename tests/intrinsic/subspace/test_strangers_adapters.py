"""Checkpoints and adapters that somebody else wrote: whatever they hold, one line or the right function."""

import copy
import json
import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

import intrinsic
from intrinsic.files.tensors import read_tensors, write_tensors

pytestmark = pytest.mark.slow

X = torch.linspace(-1, 1, 8).view(2, 4)
STRANGE = [None, True, -1, 0, 3, 10**6, 10**12, 10**30, 1.5, 1e308, float("nan"), "x", "8", "(a+)+$", "\x1b[31m"]
STRANGE += [
    [],
    {},
    [[]],
    {"a": 1},
    {"0": None},
    {"(": 3},
    {"0": 10**12},
    [None],
    {"space": None, "space_options": None},
]
STRANGE += [{"space": "LoRA", "space_options": {}}]
NETS = {
    "lora": {"space": intrinsic.LoRA(2, rank_pattern={"0": 3}), "projection": intrinsic.Dense, "dim": 5},
    "full": {"projection": intrinsic.Fastfood, "dim": 5},
    "union": {"space": intrinsic.Union([intrinsic.LoRA(2), intrinsic.BitFit()])},
}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))


def trained(**options):
    net = intrinsic.Subspace(network(), **options)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.5)
    return net


def check(load, expected):
    """Load what may be harmful: the right net, or one line and the model as it was."""
    model = network()
    try:
        net = load(model)
    except intrinsic.UserError as error:
        line = str(error)
        assert len(line) < 700
        assert torch.equal(model(X), network()(X))
        assert [type(module) for module in model] == [nn.Linear, nn.Linear]
        assert all(parameter.requires_grad for parameter in model.parameters())
        return line
    torch.testing.assert_close(net(X), expected)
    return ""


def places(node, path=()):
    """Every key of nested mappings, as a path."""
    for key in node if isinstance(node, dict) else ():
        yield (*path, key)
        yield from places(node[key], (*path, key))


def changed(node, path, value):
    other = copy.deepcopy(node)
    inner = other
    for key in path[:-1]:
        inner = inner[key]
    if value is places:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return other


@pytest.mark.parametrize("kind", NETS)
def test_checkpoints(kind, tmp_path):
    path, net = tmp_path / "net.safetensors", trained(**NETS[kind])
    intrinsic.save(net, path)
    tensors, metadata = read_tensors(path)
    expected, lines = net(X).detach(), []
    for index, place in enumerate(places(metadata)):
        for value in [*STRANGE, places][index % 3 :: 3]:
            write_tensors(path, tensors, changed(metadata, place, value))
            lines.append(check(lambda model: intrinsic.load(model, path), expected))
    assert sum(map(bool, lines)) > 0.8 * len(lines)
    name, first = next(iter(tensors.items()))
    for dtype in (torch.int64, torch.bool, torch.complex64):
        write_tensors(path, {**tensors, name: first.to(dtype)}, metadata)
        with pytest.raises(intrinsic.UserError, match=f"{name} is of {dtype}, need torch.float32"):
            intrinsic.load(network(), path)


def test_adapters(tmp_path):
    net = trained(space=intrinsic.LoRA(2, targets=["0", "1"], rank_pattern={"0": 3}))
    intrinsic.export_peft(net, tmp_path)
    config, weights = tmp_path / "adapter_config.json", tmp_path / "adapter_model.safetensors"
    written, tensors, expected = json.loads(config.read_text()), load_file(weights), net(X).detach()
    assert check(lambda model: intrinsic.load_peft(model, tmp_path), expected) == ""
    # what is a valid adapter of another rank or scale computes another function, as it says
    free = {"lora_alpha", "r", "rank_pattern", "alpha_pattern", "use_rslora", "lora_dropout"}
    for index, place in enumerate(places({**written, "unknown\x1b": 1})):
        for value in [*STRANGE, places][index % 2 :: 2]:
            config.write_text(json.dumps(changed({**written, "unknown\x1b": 1}, place, value)))
            model = network()
            try:
                found = intrinsic.load_peft(model, tmp_path)
            except intrinsic.UserError:
                assert torch.equal(model(X), network()(X))
            else:
                if place[0] not in free:
                    torch.testing.assert_close(found(X), expected)
    config.write_text(json.dumps(written))
    key = "base_model.model.0.lora_A.weight"
    for wrong in (tensors[key].long(), tensors[key].to(torch.complex64), tensors[key][:1], torch.tensor(1.0)):
        save_file({**tensors, key: wrong.contiguous()}, weights)
        assert "need" in check(lambda model: intrinsic.load_peft(model, tmp_path), expected)


@settings(max_examples=60)
@given(which=st.sampled_from(["net.safetensors", "adapter_config.json", "adapter_model.safetensors"]), data=st.data())
def test_bytes_of_strangers(which, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("strangers")
    net = trained(space=intrinsic.LoRA(2, targets=["0", "1"]))
    intrinsic.save(net, folder / "net.safetensors")
    intrinsic.export_peft(net, folder)
    content = bytearray((folder / which).read_bytes())
    header = len(content) if which.endswith("json") else min(len(content), 8 + int.from_bytes(content[:8], "little"))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    (folder / which).write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    load = intrinsic.load if which == "net.safetensors" else intrinsic.load_peft
    model = network()
    try:
        load(model, folder / which if load is intrinsic.load else folder)
    except intrinsic.UserError as error:
        line = str(error)
        assert line.isprintable()
        assert torch.equal(model(X), network()(X))


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    os.symlink("loop", tmp_path / "loop")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 43)
    refused = {
        tmp_path: "is not a regular file",
        tmp_path / "pipe": "is not a regular file",
        "/dev/zero": "is not a regular file",
        tmp_path / "loop": "cannot use the path",
        tmp_path / "sparse": "GB of memory are free",
        "a\0b": "cannot use the path",
        "x" * 5000: "cannot use the path",
        tmp_path / "gone": "there is no file",
        3: "need the path of a file, got int",
    }
    for path, reason in refused.items():
        with pytest.raises(intrinsic.UserError, match=reason):
            intrinsic.load(network(), path)


NET = intrinsic.Subspace(network())
CALLS = {
    "need an intrinsic.Subspace to save, got Sequential": lambda path: intrinsic.save(network(), path),
    "need the path of a file, got int$": lambda path: intrinsic.save(NET, 3),
    "need the path of a file, got NoneType": lambda path: intrinsic.export_peft(trained(**NETS["lora"]), None),
    "need a torch.nn.Module as model, got NoneType": lambda path: intrinsic.load_peft(None, path),
    "need a torch.nn.Module as model, got str": lambda path: intrinsic.Bank("x"),
    "need a torch.nn.Module as model, got list": lambda path: intrinsic.quantize([]),
    "need an intrinsic.Subspace, got Linear": lambda path: intrinsic.export_peft(nn.Linear(2, 2), path),
}


@pytest.mark.parametrize("reason", CALLS)
def test_other_objects(reason, tmp_path):
    with pytest.raises(intrinsic.UserError, match=reason):
        CALLS[reason](tmp_path / "file")
