"""Every experiment file: a question at its top, a config that composes and runs, the published protocol a flag away."""

import re

import pytest
import torch
from hydra import compose as compose_config
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from experiments.config.build import build
from experiments.run.setup import Setup
from hydra_plugins._threshold_search import Settings
from intrinsic.tasks.task import Split, classification
from tests.support.configs import CONF, composed

pytestmark = pytest.mark.slow

FOLDER = CONF / "experiment"
NAMES = sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.yaml"))
every_experiment = pytest.mark.parametrize("name", NAMES)
EPISODES = [name for name in NAMES if "override /environment" in (FOLDER / f"{name}.yaml").read_text()]
LI = [name for name in NAMES if name.startswith("li2018/") and name not in EPISODES]
on_images = pytest.mark.parametrize("name", LI)  # text needs files and a pretrained model: see test_text
OWN = ["aghajanyan2020/pretraining"]  # of a protocol of our own: sizes are searched for on validation data
FULL_DIMS = {  # of those that are not 784-200-200-10
    "toy": 1000, "mnist_lenet": 44_426, "mnist_lenet_shuffled_pixels": 44_426, "mnist_lenet_untied": 286_334,
    "mnist_fc_lenet": 3_640_574, "mnist_fc_shuffled_labels": 959_610, "cifar_fc": 656_810, "cifar_lenet": 62_006,
    "imagenet_squeezenet": 1_248_424,
}  # fmt: skip


def compose(name, *overrides):
    return composed(f"experiment={name}", *overrides)


def task(config):
    """A few random examples in the shape of the experiment's data, whose files need not be there."""
    if config["dataset"]["_target_"].endswith("toy"):
        return build(config["dataset"], "dataset")
    of = config["dataset"]["_target_"]
    shape = (3, 32, 32) if "cifar" in of or of.endswith(".images") else (1, 28, 28)
    split = Split(torch.rand(8, *shape), torch.arange(8))
    return classification(split, split, split, num_outputs=1000 if of.endswith(".images") else 10)


def setup(config):
    made = Setup(config)
    made.device, made.task = torch.device("cpu"), task(config)
    return made


@every_experiment
def test_it_asks_a_question_and_says_how_to_answer_it(name):
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert "?" in lines[1]
    comment = " ".join(line.removeprefix("# ") for line in lines if line.startswith("#"))
    (command,) = re.findall(r"`python run\.py ([^`]*)`", comment)
    words = command.removeprefix("-m ").split()
    assert words[0] == f"experiment={name}"
    for values in words[1:]:  # the first and the last value of each knob
        key, _, listed = values.partition("=")
        for value in {listed.split(",")[0], listed.split(",")[-1]}:
            Setup(compose(name, f"{key}={value}")).check()


@every_experiment
def test_its_search_can_begin(name):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose_config("config", [f"experiment={name}"], return_hydra_config=True)
    node = OmegaConf.to_container(config.hydra.sweeper)
    target = node.pop("_target_").rpartition(".")[2]
    assert target in ("GridSweeper", "ThresholdSweeper")
    if target == "ThresholdSweeper":
        assert Settings(**node).axis in config
        assert Settings(**node | {"split": None}).searched == "validation"
        if name in LI or (name.startswith("aghajanyan2020/") and name not in OWN):  # as published, and not the default
            assert node["split"] == ("train" if "labels" in name else "test")
        assert str(config.hydra.mode) == "RunMode.MULTIRUN"


@on_images
def test_its_network_has_the_published_size(name):
    model = setup(compose(name)).model()
    assert sum(parameter.numel() for parameter in model.parameters()) == FULL_DIMS.get(name.rpartition("/")[2], 199_210)


@on_images
def test_it_can_take_a_step_and_so_can_its_baseline(name):
    for overrides in ([], ["method=full", "init=scratch"]):
        made = setup(compose(name, *overrides))
        data, net, optimizer = made.task, made.net, made.optimizer
        before = [parameter.detach().clone() for parameter in net.parameters()]
        data.loss(net(data.train.inputs[:8]), data.train.targets[:8]).backward()
        optimizer.step()
        assert any(not torch.equal(*pair) for pair in zip(before, net.parameters(), strict=True))


@pytest.mark.parametrize("name", [name for name in LI if "toy" not in name])
@pytest.mark.parametrize("protocol", ["quick", "published"])
def test_the_protocol_is_one_flag(name, protocol):
    config = compose(name, f"protocol={protocol}")
    Setup(config).check()
    assert config["batch_size"] == 128
    sgd, labels = "lenet_shuffled" in name, "labels" in name
    assert config["optim"]["_target_"] == f"torch.optim.{'SGD' if sgd else 'Adam'}"
    assert config["optim"].get("betas") == (None if sgd else [0.9, 0.99])
    assert config["l2_weights"] == (0 if sgd else 1e-4)
    if protocol == "published":
        expected = (100, 0.01) if sgd else (500, 0.0001) if labels else (100, 0.001)
        assert (config["epochs"], config["lr"], config["schedule"]) == (*expected, {})
        full = compose(name, "protocol=published", "method=full")
        assert (full["epochs"], full["lr"], full["optim"]["lr"]) == (*expected, expected[1])
    else:
        assert config["schedule"]["T_max"] == config["epochs"] <= 100
        assert compose(name) == config  # the default


def test_a_zero_origin_is_zero_and_leaves_it():
    made = setup(compose("li2018/origin", "model.width=8", "dim=20"))
    data, net = made.task, made.net
    assert not any(weight.any() for weight in net.weights().values())
    data.loss(net(data.train.inputs), data.train.targets).backward()
    assert net.z.grad.any()  # the last biases move the outputs, and so z
    with torch.no_grad():
        net.z -= net.z.grad
    assert all(weight.any() for weight in net.weights().values())
