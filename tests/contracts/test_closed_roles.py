"""A config builds what its group is for: of everything that can be called in these packages, nothing else."""

import importlib
import pkgutil
import sys
from functools import cache

import pytest
import torch
from omegaconf import OmegaConf

import experiments
import intrinsic
from experiments.config.build import build
from experiments.config.roles import ROLES, find
from intrinsic.errors import UserError
from tests.support.configs import CONF, composed


def named(node, role=None):
    """What the nodes of a config name: pairs of the role that a node has and its `_target_`."""
    for key, value in node.items():
        if isinstance(value, dict):
            if "_target_" in value:
                yield role or key, value["_target_"]
            yield from named(value, "space" if key == "spaces" else None)  # the parts of a union


def admitted():
    """What each role admits of what is here, by the name of the class or function: what a file of its group names."""
    found = {role: set() for role in ROLES} | {"subspace": {"Subspace", "Redrawn"}}
    for path in CONF.rglob("*.yaml"):
        node = OmegaConf.to_container(OmegaConf.load(path))
        for role, target in named({path.parent.name: node} if "_target_" in node else node):
            if role in found:
                found[role].add(target.rpartition(".")[2])
    return found


ADMITTED = admitted()


def modules():
    """Every module of the packages, and what they import of each other."""
    for package in (intrinsic, experiments, torch.optim):
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            try:
                yield importlib.import_module(found.name)
            except ImportError:  # Triton is not everywhere
                continue


@cache
def callables():
    """All that can be called there, by its full name."""
    found = {f"{module.__name__}.{name}": value for module in modules() for name, value in vars(module).items()}
    found |= {f"intrinsic.{name}": getattr(intrinsic, name) for name in intrinsic.__all__}
    return {target: value for target, value in found.items() if callable(value)}


@pytest.mark.parametrize("role", ROLES)
def test_of_all_that_can_be_called_only_things_of_the_role_are_found(role):
    assert len(callables()) > 1000
    found = {}
    for target, value in callables().items():
        try:
            found[target] = find(target, role)
            assert found[target] is value
        except UserError as error:
            lines = str(error).splitlines()
            assert len(lines) == 1 and lines[0].startswith(f"_target_={target}")  # noqa: PT018
    names = {thing.__name__ for thing in found.values()}
    if role == "optim":
        assert {"Adam", "AdamW", "SGD", "RMSprop"} <= names
        assert all(issubclass(thing, torch.optim.Optimizer) for thing in found.values())
    elif role == "schedule":
        assert {"CosineAnnealingLR", "LinearLR", "LinearWarmup"} <= names
        assert all(issubclass(thing, torch.optim.lr_scheduler.LRScheduler) for thing in found.values())
    else:
        assert names == ADMITTED[role]


def test_nothing_is_imported_for_a_name_outside():
    before = set(sys.modules)
    for target in ("antigravity.x", "this.s", "os.path.join", "numpy.f2py.main", "torch.hub.load", "builtins.eval"):
        for role in ROLES:
            with pytest.raises(UserError, match=r"is refused as .*: need a name in"):
                find(target, role)
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    "target",
    [None, 5, "", ".", "intrinsic", "intrinsic.", ".LoRA", "intrinsic..LoRA", "intrinsic.spaces.lora.LoRA\0", ["a"]],
)
def test_what_is_no_name(target):
    with pytest.raises(UserError, match="is refused"):
        find(target, "space")


WRITE = {
    "_target_": "intrinsic.files.data_folder.write_data",
    "path": {"_target_": "intrinsic.files.data_folder.data_folder", "data_dir": "PLACE", "name": "written"},
    "content": {
        "_target_": "intrinsic.files.data_folder.download",
        "urls": ["data:,any%20content"],
        "md5": "2a6a7e8a7f5ec5a0b8e9c6a9d1b9c0f5",
        "place": "x",
    },
}


def writer(place):
    """The node that wrote any file of any content."""
    return WRITE | {"path": WRITE["path"] | {"data_dir": str(place)}}


@pytest.mark.parametrize("role", ROLES)
def test_a_node_writes_no_file(tmp_path, role):
    with pytest.raises(UserError, match=r"_target_=intrinsic\.files\.data_folder\.write_data is refused"):
        build(writer(tmp_path), role)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("role", "path"),
    [
        ("space", "targets"),
        ("space", "rank_pattern.query"),
        ("subspace", "granularity"),
        ("optim", "betas"),
        ("dataset", "seed"),
        ("model", "width"),
    ],
)
def test_an_argument_is_a_plain_value(tmp_path, role, path):
    config = composed("method=lora")
    node = config[role] if role != "subspace" else {"_target_": "intrinsic.Subspace", "_partial_": True}
    key, _, inner = path.partition(".")
    node[key] = {inner: [writer(tmp_path)]} if inner else writer(tmp_path)
    with pytest.raises(
        UserError, match=f"_target_=intrinsic.files.data_folder.write_data is refused inside {key}: need a plain"
    ):
        build(node, role)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("role", "change", "match"),
    [
        ("model", {"_args_": [1]}, "MLP has no argument '_args_'"),
        ("model", {"_recursive_": False}, "MLP has no argument '_recursive_'"),
        ("model", {"_convert_": "all"}, "MLP has no argument '_convert_'"),
        ("model", {"input_shape": [1]}, "MLP has no argument 'input_shape'"),
        ("model", {3: 1}, "MLP has no argument 3"),
        ("projection", {"seed": 3}, "Identity has no argument 'seed'"),
        ("projection", {"dim": 3}, "Identity has no argument 'dim'"),
        ("optim", {"params": []}, "Adam has no argument 'params'"),
        ("model", {"_partial_": False}, "MLP is called later, with input_shape, num_outputs: need _partial_=true"),
        ("model", {"_partial_": 1}, "MLP is called later"),
        ("space", {"_partial_": True}, "LoRA is called at once: need _partial_=false"),
        ("model", {"depth": ...}, "MLP cannot be made of width, dropout: missing a required [a-z- ]*argument: 'depth'"),
        ("dataset", {"seed": ...}, "digits cannot be made of .*: missing a required [a-z- ]*argument: 'seed'"),
    ],
)
def test_a_node_has_the_arguments_that_are_there_and_no_others(role, change, match):
    node = composed()[role] | change
    with pytest.raises(UserError, match=match):
        build({key: value for key, value in node.items() if value is not ...}, role)


@pytest.mark.parametrize("node", [None, 5, "intrinsic.LoRA", [], {}, {"target": "intrinsic.LoRA"}])
def test_what_is_no_node(node):
    with pytest.raises(UserError, match="need space as keys with a _target_ among them, got space="):
        build(node, "space")
