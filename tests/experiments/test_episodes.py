"""Runs of episodes through the program: what is refused in one line, and one that was killed goes on."""

import importlib.util
import json

import pytest

from experiments.run.train import train
from tests.support.configs import composed

pytestmark = pytest.mark.usefixtures("surroundings")

CARTPOLE = "environment=cartpole init=scratch method=subspace dim=5"
NORMED = "dataset=digits init=scratch dataset.fraction=0.1 model=resnet20 method=full optim=es"
COMMANDS = [
    (f"{CARTPOLE} optim=adam", "cartpole has returns, and no loss to differentiate: use optim=es"),
    (f"{CARTPOLE} l2_weights=0.1", r"optim=es ranks scores, which have no penalty, got l2_weights=0\.1"),
    (NORMED, "batch normalisation has statistics of one: use another model"),
    ("init=scratch dataset.fraction=0.1 optim=dqn", "learns from episodes, and the dataset has examples: use env"),
    (f"{CARTPOLE} optim=dqn schedule=warmup", "takes as many steps as its episodes last: use schedule=constant"),
    (f"{CARTPOLE} optim=dqn optim.target=mine", "need optim.target=network or shared, got optim.target='mine'"),
    (f"{CARTPOLE} optim=dqn optim.gamma=1", "need optim.gamma below 1, got gamma=1"),
    ("environment=gymnasum method=subspace", "there is no environment=gymnasum: did you mean 'gymnasium'"),
    (f"{CARTPOLE} environment.id=x", "environment"),
]
WITH_GYMNASIUM = [
    ("InvertedPendulm-v5", "gymnasium has no environment 'InvertedPendulm-v5': did you mean 'InvertedPendulum-v5'"),
    ("os:Foo-v1", "gymnasium has no environment 'os:Foo-v1'"),
]


@pytest.mark.parametrize(("command", "match"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_bad_command(refused, command, match):
    refused(command, match)


@pytest.mark.parametrize(("name", "match"), WITH_GYMNASIUM, ids=[name for name, _ in WITH_GYMNASIUM])
def test_an_environment_that_is_not_there(refused, name, match):
    if importlib.util.find_spec("gymnasium") is None:
        match = r"the package gymnasium is missing: pip install 'intrinsic-subspaces\[rl\]'"
    refused(f"environment=gymnasium init=scratch environment.id={name} method=subspace", match)


@pytest.mark.parametrize("kernels", ["auto", "torch"])
def test_a_run_of_q_learning_that_was_killed_goes_on(tmp_path, monkeypatch, kernels):
    """From the checkpoint on disk, to the numbers of a run that was left alone."""
    monkeypatch.setenv("INTRINSIC_KERNELS", kernels)
    options = ["optim=dqn", "batch_size=8", "dataset.episodes=4", "epochs=3", "checkpoint_seconds=0.0", "device=cpu"]
    config = composed(*CARTPOLE.split(), *options)
    config = {key: value for key, value in config.items() if key not in ("replicas", "batch")}
    whole = train(config, tmp_path / "whole")

    class Killed(BaseException):
        pass

    def die(self, epoch, add):
        add(self, epoch)
        if epoch.epoch == 2:
            raise Killed("after epoch 2")

    from experiments.run.state import RunState

    with monkeypatch.context() as patched:
        add = RunState.add
        patched.setattr(RunState, "add", lambda self, epoch: die(self, epoch, add))
        with pytest.raises(Killed, match="after epoch 2"):
            train(config, tmp_path / "other")
    assert (tmp_path / "other" / "state.safetensors").exists()
    again = train(config, tmp_path / "other")
    assert [e["validation"] for e in again.history[1:]] == [e["validation"] for e in whole.history[1:]]
    assert [e["train_loss"] for e in again.history[1:]] == [e["train_loss"] for e in whole.history[1:]]
    assert json.dumps(again.last["test"]) == json.dumps(whole.last["test"])
