"""What a run would train and need, against counts by hand, and the command that prints it."""

import itertools
import json

import pytest
import torch
from torch import nn

import intrinsic
from experiments.run.description import describe
from experiments.step.coverage import Part, coverage
from experiments.step.training_step import step_seconds
from intrinsic.errors import UserError
from tests.support.commands import assert_one_line, here
from tests.support.small_nets import text_net

WEIGHTS = 2 * (64 * 64 + 64) + 64 * 10 + 10  # of the default model
BATCH, WIDE, OUT = 64, 64, 10
SAVED = 4 * (2 * BATCH * WIDE + BATCH * OUT + 1)  # two relus, log-softmax, and the weight of all targets: float32


@pytest.fixture
def described(config, tmp_path, offline):
    """Describes a config that would write below `tmp_path`, and checks that it has not."""

    def call(*overrides):
        found = describe(config(f"output={tmp_path}/outputs", *overrides))
        assert not list(tmp_path.iterdir())
        return found

    return call


@pytest.mark.usefixtures("surroundings")
def test_the_default_run(output, capsys, tmp_path):
    assert here("-m", "experiments.describe", f"output={tmp_path / 'none'}", "epochs=1") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "lora rank=4 seed=0: mlp on rotated_digits, batches of 64"
    assert "hidden.* Linear 2 1,024 8,320 lora_A 4x64, lora_B 64x4" in lines
    assert "head Linear 1 650 weight 10x64, bias 10" in lines
    assert "d: trained 1,024 10.2 %" in lines
    (path,) = (output / "default").glob("*/record.json")
    stored = json.loads(path.read_text())["numbers"]["stored_bytes"]  # of the same run, that was trained
    assert f"trained.safetensors, on the disk {stored:,} {stored / 1000:.1f} kB" in lines
    assert not (tmp_path / "none").exists()
    assert not list((tmp_path / "cwd").iterdir())


@pytest.mark.usefixtures("surroundings")
def test_an_experiment_that_is_a_search_has_one_configuration(capsys):
    arguments = ["experiment=li2018/mnist_fc", "dataset=digits", "model.width=8"]
    assert here("-m", "experiments.describe", *arguments) == 0
    assert capsys.readouterr().out.startswith("subspace fastfood dim=300 seed=0: mlp on digits, batches of 128\n")


@pytest.mark.usefixtures("surroundings")
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["space.targets=nope"], "targets='nope' matches no Linear .* of MLP: did you mean 'hidden.0'"),
        (["method=subspace", "dim=0"], "need 0 < dim <= full_dim, got dim=0"),
        (["+init.epochs=1"], "init.source has no key epochs"),
        (["model=lenett"], "there is no model=lenett: did you mean 'lenet'"),
        (["replicas=4"], "replicas are runs of a sweep, got replicas=4 without -m"),
        (["-m", "rank=1,2"], "describe is of one configuration: leave out -m"),
        (["epochs=0"], "need an integer epochs >= 1"),
    ],
)
def test_a_bad_input_is_one_line(arguments, match, capsys):
    assert here("-m", "experiments.describe", *arguments) == 2
    assert_one_line(capsys.readouterr().err, match)


def test_equal_layers_of_a_transformer_are_one_line():
    net = text_net(space=intrinsic.LoRA(2, targets=["query", "value"]), head="train")
    found = {each.pattern: each for each in coverage(net)}
    query = found["bert.encoder.layer.*.attention.self.query"]
    assert (query.kind, query.times, query.targeted) == ("Linear", 4, True)
    assert query.numbers == {"moves": 4 * 2 * (16 + 16), "trained": 0, "frozen": 4 * (16 * 16 + 16), "tied": 0}
    assert Part("lora_A", (2, 16), "moves") in query.parts
    assert [name for name, each in found.items() if each.targeted] == [
        query.pattern, "bert.encoder.layer.*.attention.self.value", "classifier",
    ]  # fmt: skip
    assert found["classifier"].numbers["trained"] == 3 * 16 + 3
    assert not found["bert.encoder.layer.*.attention.self.key"].targeted
    totals = {state: sum(each.numbers[state] for each in found.values()) for state in query.numbers}
    assert totals["moves"] == net.full_dim
    assert sum(totals.values()) == sum(p.numel() for p in net.model.parameters())


def test_a_tied_weight_counts_where_it_stands_first():
    model = nn.ModuleDict({"inner": nn.Embedding(7, 3), "base": nn.Linear(3, 7)})
    model["base"].weight = model["inner"].weight
    first, second = coverage(intrinsic.Subspace(model))
    assert (first.pattern, first.numbers["moves"], second.pattern) == ("inner", 21, "base")  # no wrapper's base
    assert second.numbers == {"moves": 7, "trained": 0, "frozen": 0, "tied": 21}


# moments and a count of steps; one moment; nothing
@pytest.mark.parametrize(("optim", "state"), [("adam", 2 * 30 + 1), ("sgd", 30), ("sgd optim.momentum=0", 0)])
def test_bytes_of_a_subspace_by_hand(described, optim, state):
    found = described("method=subspace", "projection=onehot", "dim=30", *f"optim={optim}".split())
    assert found.numbers | {"stored_bytes": 0} == {
        "trained": 30, "dim": 30, "full_dim": WEIGHTS, "head": 0, "parameters": WEIGHTS, "stored_bytes": 0,
    }  # fmt: skip
    pixels = BATCH * 64
    expected = {
        "model": 4 * WEIGHTS, "trained": 4 * 30, "optimizer": 4 * state, "gradients": 4 * 30, "activations": SAVED,
        "kept": 4 * WEIGHTS,  # theta_0 + P z
        "batch": 4 * pixels + 8 * BATCH,
    }  # fmt: skip
    assert {name: found.bytes[name] for name in expected} == expected
    assert (
        found.bytes["projection"] == found.bytes["planned"] == 2 * WEIGHTS + 8 * 30
    )  # the group of each weight with its sign, and the size of each group
    between = ("model", "trained", "projection", "kept", "optimizer", "batch")
    assert found.bytes["total"] == sum(found.bytes[name] for name in between) + found.bytes["peak"]
    assert found.bytes["peak"] >= SAVED
    assert (found.batch, found.steps) == ([BATCH, 1, 8, 8], 17)
    assert found.seconds > 0


def test_bytes_of_lora_by_hand(described):
    found = described("method=lora", "rank=3", "optim=adam")
    trained = 2 * 3 * (WIDE + WIDE)
    assert found.bytes["model"] == 4 * WEIGHTS
    assert found.bytes["trained"] == found.bytes["gradients"] == 4 * trained
    assert found.bytes["optimizer"] == 4 * (2 * trained + 4)  # a count of steps for each factor
    assert found.bytes["activations"] == SAVED + 4 * 2 * BATCH * 3  # A x of two layers
    assert (found.bytes["projection"], found.bytes["kept"]) == (0, 0)
    assert found.numbers["parameters"] == WEIGHTS + trained


def test_a_batch_of_texts_is_the_longest(described, tmp_path_factory):
    from tests.support.tiny import make_folder, write_sst2

    home = tmp_path_factory.mktemp("texts")
    folder, data = make_folder(home / "bert"), write_sst2(home)
    words = ["model=hf", f"model.name={folder}", "dataset=sst2", f"data_dir={data}", "batch_size=2"]
    assert described(*words, "method=bitfit").batch[-1] == 15  # eleven words, two more, and both ends


def test_what_does_not_fit_is_one_line(described, monkeypatch):
    def full(*args, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("experiments.run.description.step_costs", full)
    with pytest.raises(UserError, match=r"out of memory .*: use a smaller model or batch_size"):
        described()


@pytest.mark.parametrize(("name", "of_cpu"), [("perf_counter", False), ("process_time", True)])
def test_the_time_of_a_step_is_the_median_after_one(monkeypatch, name, of_cpu):
    spent = iter([9.0, 1.0, 5.0, 2.0])
    clock = itertools.accumulate(itertools.chain.from_iterable((0.0, next(spent)) for _ in range(4)))
    monkeypatch.setattr(f"time.{name}", lambda: next(clock))
    assert step_seconds(lambda: None, torch.device("cpu"), of_cpu=of_cpu) == 2.0


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        (["optim=es", "init=scratch"], "a step on examples is asked for, and optim=es takes its steps by a population"),
        (["optim=dqn", "init=scratch"], "optim=dqn takes its steps on episodes: run it for an epoch"),
        (
            ["optim=grpo", "model=decoder", "dataset=arithmetic", "init=scratch"],
            "optim=grpo takes its steps on answers",
        ),
    ],
)
def test_optimisers_whose_steps_are_others(described, overrides, match):
    with pytest.raises(UserError, match=match):
        described(*overrides)
