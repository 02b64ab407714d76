"""A fingerprint covers what a space's modules compute, and files of before still say what they are."""

import dataclasses
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import intrinsic
from intrinsic.errors import UserError
from intrinsic.surgery.stable_name import StableName
from tests.support.tiny_transformers import batch, logits, tiny

BF16 = torch.bfloat16


def network(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 3)).to(dtype)


def make(space, dtype=torch.float32, *, projected=False):
    options = {"projection": intrinsic.OneHot, "dim": 9} if projected else {}
    net = intrinsic.Subspace(network(dtype), space=space, seed=3, **options).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return net


def as_before(net, path):
    """The file that older versions wrote: the fingerprint is of P and of the frozen numbers, in the model's dtype."""
    intrinsic.save(net, path)
    with safe_open(path, "pt") as file:
        metadata = json.loads(file.metadata()["intrinsic"])
    metadata["fingerprint"] = net.fingerprint(constants=False)
    save_file(load_file(path), path, {"intrinsic": json.dumps(metadata)})


X = torch.linspace(-1, 1, 18).view(3, 6)
LORA, ADAPTER = intrinsic.LoRA(2), intrinsic.Adapter(2, targets=["0", "2"])
OTHERS = [  # a space, an option of its, another value of that option at which the numbers have the same shapes
    (LORA, "alpha", 16.0),
    (LORA, "rslora", True),
    (LORA, "alpha_pattern", {"2": 16.0}),
    (ADAPTER, "activation", "tanh"),
    (intrinsic.Union([intrinsic.BitFit(), LORA]), "alpha", 16.0),
    (intrinsic.Union({"a": ADAPTER}), "activation", "tanh"),
]


def changed(space, name, value):
    if not isinstance(space, intrinsic.Union):
        return dataclasses.replace(space, **{name: value})
    parts = [changed(part, name, value) if hasattr(part, name) else part for part in space.parts]
    return intrinsic.Union(dict(zip(space.spaces, parts, strict=True)) if isinstance(space.spaces, dict) else parts)


@pytest.mark.parametrize("projected", [False, True])
@pytest.mark.parametrize("write", [intrinsic.save, as_before])
@pytest.mark.parametrize(("space", "name", "value"), OTHERS)
def test_numbers_of_another_function_are_refused(tmp_path, write, space, name, value, projected):
    net, other = make(space, projected=projected), make(changed(space, name, value), projected=projected)
    assert not torch.allclose(net(X), other(X))
    write(net, tmp_path / "run.safetensors")
    known = list(other.state_dict().values())
    with pytest.raises(
        UserError, match=rf"was trained with {name}=.*, and here is {name}=.*: make the net with"
    ) as got:
        intrinsic.load(other, tmp_path / "run.safetensors")
    assert "\n" not in str(got.value)
    assert repr(value)[:20] in str(got.value)
    assert all(torch.equal(*pair) for pair in zip(known, other.state_dict().values(), strict=True))
    again = intrinsic.load(make(space, projected=projected), tmp_path / "run.safetensors")
    assert torch.equal(again(X), net(X))
    assert torch.equal(intrinsic.load(network(), tmp_path / "run.safetensors").eval()(X), net(X))


@pytest.mark.parametrize("projected", [False, True])
def test_older_files_around_half_precision(tmp_path, projected):
    """Their factors were of the model's precision, in which the fingerprint still finds them."""
    net = make(LORA, BF16, projected=projected)
    as_before(net, tmp_path / "run.safetensors")
    again = intrinsic.load(network(BF16), tmp_path / "run.safetensors").eval()
    torch.testing.assert_close(again(X.to(BF16)), net(X.to(BF16)), atol=0, rtol=0)


def test_the_same_function_said_otherwise_fits():
    one, other = make(LORA), make(intrinsic.LoRA(2, alpha=16.0, alpha_pattern={".*": 8.0}, dropout=0.5))
    assert one.fingerprint() == other.fingerprint()


def test_dropped_and_kept_networks_of_prefixes_differ():
    nets = [intrinsic.Subspace(tiny("bert"), space=intrinsic.Prefix(3, mlp=mlp)) for mlp in (None, 4)]
    assert nets[0].fingerprint() != nets[1].fingerprint()
    assert logits(nets[0], "bert").shape == (len(batch("bert")["input_ids"]), 3)


def counted(dtype):
    model = network(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.arange(parameter.numel()).view(parameter.shape) / 64)
    return model


KNOWN = {  # what older versions gave, in float32 and bfloat16
    "full": (intrinsic.Full(), "b0894aaecbe8a790", "b0894aaecbe8a790"),
    "head": (intrinsic.Head(), "2e31fe8e15bfbdce", "18467f7bf9a5b9f7"),
    "bitfit": (intrinsic.BitFit(), "43d7eecc9e229455", "c4f77c7f682a997c"),
    "lora": (LORA, "8e2be2408a2c409f", "ad3d7a1d6daef9f6"),
    "adapter": (intrinsic.Adapter(2, targets=["0"]), "b8173ea5aba2e31c", "378eab6580f20d32"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_fingerprints(name):
    space, *known = KNOWN[name]
    nets = [intrinsic.Subspace(counted(dtype), space=space) for dtype in (torch.float32, BF16)]
    assert [net.fingerprint(constants=False) for net in nets] == known
    assert ([net.fingerprint() for net in nets] == known) == (name in ("full", "head", "bitfit"))


# what fingerprints in files call the classes; a class that is renamed keeps its name here (see `StableName`)
STABLE = {
    *("Dense", "Sparse", "Fastfood", "Kronecker", "OneHot", "Identity", "BlockDiagonal", "Stacked"),
    *("LowRankLinear", "LowRankConv1D", "LowRankConv2d", "LowRankEmbedding", "LinearParts", "Conv1DParts", "Part"),
    *("Adapted", "GatedPrefix"),
}


def test_names_in_files_stay():
    assert all(getattr(intrinsic, name) for name in intrinsic.__all__)  # imports what is read when it is asked for
    known = [StableName]
    for each in known:
        known += each.__subclasses__()
    names = [each.stable_name for each in dict.fromkeys(known[1:]) if each.__module__.startswith("intrinsic.")]
    assert set(names) > STABLE
    assert len(set(names)) == len(names)


def test_a_class_that_is_renamed_keeps_its_name_in_files():
    class Sewn(intrinsic.OneHot):
        stable_name = "OneHot"

    class Other(Sewn):
        pass

    found = [kind(3, 9, seed=0).fingerprint() for kind in (intrinsic.OneHot, Sewn, Other)]
    assert found[0] == found[1] != found[2]


def test_a_task_of_another_alpha_is_no_task_of_the_bank(tmp_path):
    bank = intrinsic.Bank(network())
    for number, alpha in enumerate((8.0, 16.0)):
        net = make(intrinsic.LoRA(2, alpha=alpha))
        intrinsic.save(net, tmp_path / "task.safetensors")
        bank.add(f"file{number}", tmp_path / "task.safetensors")
        bank.add(f"net{number}", net)
        for name in (f"file{number}", f"net{number}"):
            assert torch.equal(bank.use(name)(X), net(X))
