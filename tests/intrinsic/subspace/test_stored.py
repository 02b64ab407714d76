"""P is out of reach of what treats buffers as numbers that change, and its fingerprint is of the bits it has."""

import copy
import io
import json
import pickle
from functools import partial

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

import intrinsic
from intrinsic.errors import UserError
from intrinsic.projections import dense
from intrinsic.projections.block_diagonal import BlockDiagonal
from intrinsic.projections.granularity import draw
from intrinsic.projections.stacked import Stacked
from tests.support.projections import RANDOM, make, matrix

random_projections = pytest.mark.parametrize("name", RANDOM)
X = torch.linspace(-1, 1, 18).view(3, 6)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def subspace(projection=intrinsic.Dense, **options):
    net = intrinsic.Subspace(network(), projection=projection, dim=9, seed=3, **options).eval()
    with torch.no_grad():
        net.z.copy_(torch.linspace(-1, 1, 9))
    return net


def pickled(module):
    return pickle.loads(pickle.dumps(module))  # noqa: S301  # its own


def saved(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def averaged(module):
    average = AveragedModel(module, use_buffers=True)
    for _ in range(2):
        average.update_parameters(module)
    return average.module


def looped(module):
    for buffer in module.buffers():
        buffer.fill_(0)
    return module


CHANGES = {
    "averaged": averaged,
    "copied": copy.deepcopy,
    "pickled": pickled,
    "saved": saved,
    "double": lambda module: module.to(torch.float64),
    "half": lambda module: module.half(),
    "filled": looped,
    "applied": lambda module: module._apply(lambda tensor: tensor * 0),
    "shared": lambda module: module.share_memory(),
    "emptied": lambda module: module.to_empty(device="cpu"),
}


def bits(projection):
    return {name: tensor.clone() for name, tensor in projection.fixed_tensors().items()}


def same(one, other):
    return one.keys() == other.keys() and all(
        tensor.dtype == other[name].dtype and torch.equal(tensor, other[name]) for name, tensor in one.items()
    )


@settings(max_examples=60)
@given(
    name=st.sampled_from(RANDOM),
    dim=st.integers(3, 40),
    extra=st.integers(0, 200),
    seed=st.integers(0, 2**64 - 1),
    granularity=st.sampled_from(["global", "tensor", "block"]),
    change=st.sampled_from(sorted(CHANGES)),
)
@example(name="dense", dim=30, extra=303, seed=0, granularity="global", change="averaged")
def test_nothing_changes_p(name, dim, extra, seed, granularity, change):
    sizes = [1 + (dim + extra) // 2, 1 + (dim + extra + 1) // 2, 1]
    projection = draw(partial(make, name), dim, sizes, granularity=granularity, seed=seed)
    before, mark, P = bits(projection), projection.fingerprint(), matrix(projection)
    after = CHANGES[change](nn.ModuleList([projection, nn.BatchNorm1d(2)]))[0]
    assert same(bits(after), before)
    assert after.fingerprint() == mark
    assert not list(after.buffers())
    if change in ("averaged", "copied"):
        assert list(map(id, after.fixed_tensors().values())) == list(map(id, projection.fixed_tensors().values()))
    g = torch.linspace(-1, 1, sum(sizes), dtype=torch.float64)
    torch.testing.assert_close(after.adjoint(g), P.T @ g)
    assert torch.equal(matrix(after), P)


@random_projections
def test_an_average_of_a_net_is_the_net(name):
    net = subspace(partial(make, name))
    average = averaged(net)
    assert average.fingerprint() == net.fingerprint()
    assert torch.equal(average(X), net(X))
    with torch.no_grad():
        average.z.mul_(2)  # the copy's own
    assert not torch.equal(average(X), net(X))
    assert list(net.buffers()) == list(net.model.buffers())


@random_projections
@pytest.mark.parametrize("wrapper", [None, Stacked, BlockDiagonal])
def test_an_altered_p_is_noticed(name, wrapper, tmp_path):
    granularity = {None: "global", Stacked: "tensor", BlockDiagonal: "block"}[wrapper]
    net = subspace(partial(make, name), granularity=granularity)
    state, mark = net.state_dict(), net.fingerprint()
    intrinsic.save(net, tmp_path / "run.safetensors")
    for tensor in net.projection.fixed_tensors().values():
        with torch.no_grad():
            tensor.view(-1)[-1] += 1
    assert net.fingerprint() != mark
    assert copy.deepcopy(net).fingerprint() == pickled(net).fingerprint() == net.fingerprint()
    with pytest.raises(UserError, match="belongs to another model or seed: its fingerprint is"):
        intrinsic.load(net, tmp_path / "run.safetensors")
    with pytest.raises(UserError, match="belongs to another P: its fingerprint is"):
        net.load_state_dict(state)


@pytest.mark.parametrize("granularity", ["global", "tensor", "block"])
def test_signs_that_are_not_stored_count_by_their_seed(granularity, monkeypatch):
    monkeypatch.setattr(dense, "STORED", 0)
    nets = [draw(intrinsic.Dense, 9, [30, 40], granularity=granularity, seed=seed) for seed in (1, 2)]
    assert nets[0].fixed_tensors() == {}
    assert nets[0].fingerprint() != nets[1].fingerprint()


KNOWN = {  # of one P, of one for each tensor, of one for each over a share of z
    "dense": ("722c78a8f1f3a1a4", "8b86c79f10933cad", "e558c24979e4a598"),  # of older versions: of the seed
    "fastfood": ("c07e3fdae5124b87", "e238758c9d822167", "fce5e85d8555a6bb"),
    "kronecker": ("f09ea1f9a08948fb", "1e278532d8b36185", "9e7b950c8d10fff6"),
    "onehot": ("0fb705da659a27a8", "0059b90af06f545f", "1d0fc80cdc1c5895"),
    "sparse": ("83817370f7a85487", "e5b6332db4d66a46", "c753b7956b414d96"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_fingerprints_of_older_versions(name):
    parts = [wrapper(partial(make, name), 20, [100, 10, 300, 5], seed=1) for wrapper in (Stacked, BlockDiagonal)]
    found = [projection.fingerprint(bits=False) for projection in (make(name, 30, 1000, seed=1), *parts)]
    assert found == list(KNOWN[name])
    now = [projection.fingerprint() for projection in (make(name, 30, 1000, seed=1), *parts)]
    assert now == ["6d1ee891ff90b658", *found[1:]] if name == "dense" else now == found


def test_other_fingerprints_are_as_before():
    assert intrinsic.Dense(30, 1000, seed=1, entries="gaussian").fingerprint() == "f0bce1eb98b1d420"
    assert intrinsic.Fastfood(30, 1000, seed=1, entries="signs").fingerprint() == "de4d7391ee5bd284"
    assert make("identity", 30, 30, seed=1).fingerprint() == "3fd3378652246094"


@pytest.mark.parametrize("constants", [True, False])
def test_files_of_older_versions_load(tmp_path, constants):
    path, net = tmp_path / "run.safetensors", subspace()
    intrinsic.save(net, path)
    with safe_open(path, "pt") as file:
        metadata = json.loads(file.metadata()["intrinsic"])
    metadata["fingerprint"] = net.fingerprint(constants=constants, bits=False)
    assert metadata["fingerprint"] != net.fingerprint()
    save_file(load_file(path), path, {"intrinsic": json.dumps(metadata)})
    assert torch.equal(intrinsic.load(network(), path).eval()(X), net(X))
    state = net.state_dict()
    key = "projection._extra_state"
    state[key] = torch.frombuffer(bytearray.fromhex(net.projection.fingerprint(bits=False)), dtype=torch.uint8)
    subspace().load_state_dict(state)
    other = subspace()
    other.projection.packed.view(-1)[-1] ^= 1  # one sign: not that of the file's seed
    with pytest.raises(UserError, match="belongs to another model or seed"):
        intrinsic.load(other, path)
    with pytest.raises(UserError, match="belongs to another P"):
        other.load_state_dict(state)


def test_the_meta_device_has_no_p():
    net = subspace().to("meta")
    for use in (net.fingerprint, partial(net.to_empty, device="cpu")):
        with pytest.raises(UserError, match="P has no values on the meta device: make the net again"):
            use()


def test_a_name_is_taken_once():
    projection = make("onehot", 3, 10)
    with pytest.raises(ValueError, match="OneHot already has an attribute code"):
        projection._store("code", projection.code.numpy())
