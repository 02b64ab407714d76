"""Every value of a config is checked when a run is accepted: one line, or a run that records and figures can hold."""

import json
import typing

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.config.check_values import check_values
from experiments.config.fits import fits
from experiments.run.setup import Setup
from intrinsic.errors import UserError
from intrinsic.files.run_id import run_id
from tests.support.commands import QUICK
from tests.support.configs import composed

pytestmark = pytest.mark.usefixtures("surroundings")

BIG = "9223372036854775808"
COMMANDS = [
    (f"seed={BIG}", r"need an integer of 64 bits, -2\^63 to 2\^63 - 1, got seed=9223372036854775808"),
    (f"rank={BIG}", "need an integer of 64 bits, .* got rank="),
    (f"batch_size={BIG}", "need an integer of 64 bits, .* got batch_size="),
    (f"dataset.seed={BIG}", "need an integer of 64 bits, .* got dataset.seed="),
    (f"model.width=-{BIG}0", "need an integer of 64 bits, .* got model.width="),
    (f"method=subspace dim={BIG}", "need an integer of 64 bits, .* got dim="),
    (f"space.rank_pattern={{hidden.0:{BIG}}}", "need an integer of 64 bits, .* got space.rank_pattern.hidden.0="),
    ("seed=" + 5000 * "9", "need integers of 64 bits: Exceeds the limit"),
    ("lr=1e400", "need a finite number, .* got lr=inf"),
    ("lr=nan", "need a finite number, .* got lr=nan"),
    ("lr=-0.0", "need a finite number, a zero without a sign, got lr=-0.0"),
    ("optim.betas=[0.9,nan]", r"need a finite number, .* got optim.betas\[1\]=nan"),
    ("l2_weights=inf", "need a finite number, .* got l2_weights=inf"),
    ("checkpoint_seconds=inf", "need a finite number, .* got checkpoint_seconds=inf"),
    ("lr=true", r"Adam\(lr=True, .* is refused: need lr as float \| torch.Tensor, got True"),
    ("optim.lr=0.1 lr=true", "need lr as a number, got lr=True"),
    ("optim.lr=0.1 lr=abc", "need lr as a number, got lr='abc'"),
    ("optim.weight_decay=true", "is refused: need weight_decay as float, got True"),
    ("optim.fused=abc", r"Adam\(.*is refused: "),
    ("optim.betas=[0.9,0.99,0.9]", r"Adam\(.* is refused: need betas as tuple\[.*got \[0.9, 0.99, 0.9\]"),
    ("optim.betas=[0.5,true]", r"Adam\(.* is refused: Invalid beta parameter at index 1: True"),
    ("schedule=cosine schedule.T_max=abc", "CosineAnnealingLR.* is refused: "),
    ("schedule=cosine schedule.T_max=true", "CosineAnnealingLR.* is refused: need T_max as int, got True"),
    ("schedule=linear schedule.end_factor=2", "LinearLR.* is refused: "),
    ("schedule=cosine schedule._target_=torch.optim.lr_scheduler.LambdaLR", "LambdaLR has no argument 'T_max'"),
    ("epochs=true", "need an integer epochs >= 1, got epochs=True"),
    ("epochs=1e3", "need an integer epochs >= 1, got epochs=1000.0"),
    ("seed=true", "need an integer seed >= 0, got seed=True"),
    ("rank=3 space.rank=4", "space.rank=4 is not rank=3: set rank, and not space.rank"),
    ("method=lora_prefix space.spaces.prefix.length=3", "prefix.length=3 is not length=10: set length, and not space."),
    ("method=subspace subspace.dim=30", "subspace.dim=30 is not dim=300: set dim, and not subspace.dim"),
    ("study=1e3", "need a folder as output and a plain name as study, got .* study=1000.0"),
    ("study=true", "need a folder as output and a plain name as study, got .* study=True"),
    ("study=[a]", "need a folder as output and a plain name as study"),
    ("output=5", "need a folder as output and a plain name as study, got output=5"),
    ("head=5", "need head as a text or null, got head=5"),
    ("space.rank_pattern={1:8}", "need texts as keys, got space.rank_pattern with the key 1: quote it"),
    ("space.rank_pattern={1:8,hidden.0:2}", "need texts as keys, got space.rank_pattern with the key 1: quote it"),
    ("space.targets='a\tb'", "need a text of one line of at most 4096 letters, got space.targets='a"),
    ("model.width=" + 5000 * "a", "need a text of one line of at most 4096 letters, got model.width='aaa"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "match"), COMMANDS, ids=[command[:60] for command, _ in COMMANDS])
def test_a_value_that_no_run_has(refused, command, match):
    usual = "" if "output=" in command else QUICK
    refused(f"{usual} {command}", match)


def test_a_number_is_a_name_of_a_study(program, tmp_path):
    assert program(f"{QUICK} study=2026", tmp_path / "out")[0] == 0
    (record,) = (tmp_path / "out" / "2026").glob("*/record.json")
    values = json.loads(record.read_text())
    assert values["study"] == values["config"]["study"] == "2026"


@pytest.mark.parametrize("values", [{"a": [1, 2.5, "x", None, True, {"b": []}]}, {"n": -(2**63), "m": 2**63 - 1}, {}])
def test_values_that_are_fine(values):
    check_values(values)


@pytest.mark.parametrize("value", [b"x", object(), {1, 2}, (1,), 1j, torch.zeros(1), "\ud800", "\n", "\x1b[0m", "a\0"])
def test_values_of_no_config(value):
    with pytest.raises(UserError, match=r"got a\.b="):
        check_values({"a": {"b": value}})


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, [0, -3], [True, 1.0, "1", None]),
        (float, [0, 1.5], [True, "1", None]),
        (bool, [True, False], [0, 1, "true", None]),
        (str | None, ["a", None], [1, True, ["a"]]),
        (typing.Optional[int], [1, None], [True, "1"]),  # noqa: UP045
        (float | torch.Tensor, [1, 0.5], [True, "a", [1]]),
        (tuple[float, float], [[1, 2]], [[1], [1, 2, 3], [1, True], 5, "ab"]),
        (tuple[float, ...], [[], [1, 2, 3]], [["a"], 5]),
        (typing.Sequence[str] | str, [["a"], "a", []], [[1], 5]),
        (typing.Mapping[str, int], [{}, {"a": 1}], [{"a": "b"}, {"a": True}, [1]]),
        (typing.Literal["a", 1], ["a", 1], ["b", True, 1.0]),
        (typing.Any, [1, "a", None, []], []),
        (None, [None], [0, False]),
    ],
)
def test_fits(hint, good, bad):
    assert all(fits(value, hint) for value in good)
    assert not any(fits(value, hint) for value in bad)


SMALL = ["init=scratch", "dataset.fraction=0.1"]
BASES = {
    "lora": composed(*SMALL, "model.width=8"),
    "subspace": composed(*SMALL, "model.width=8", "method=subspace", "schedule=cosine", "dim=20"),
    "union": composed(*SMALL, "model=vit", "model.depth=1", "method=lora_prefix", "optim=sgd", "schedule=warmup"),
}
NUMBERS = [True, False, -1, 0, 1, 7, 0.5, -0.0, float("nan"), float("inf"), 2**63]
NODES = [
    [],
    [1],
    ["a", None],
    {},
    {"a": 1},
    {1: 2, "b": 3},
    {"_target_": "os.system"},
    [{"_target_": "intrinsic.LoRA"}],
]
OTHERS = [None, "", "x", "\n", "1", *NUMBERS, *NODES]
NOT_HERE = ("threads", "device")  # of the machine


def paths(node, path=()):
    """Every place in a config."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if key not in NOT_HERE:
            yield (*path, key)
            yield from paths(value, (*path, key))


def changed(node, path, value):
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[path[0]] = value if len(path) == 1 else changed(copy[path[0]], path[1:], value)
    return copy


def accept(config):
    """What a run does before its first step."""
    check_values(config)
    run_id(config)
    setup = Setup(config)
    setup.check()
    setup.device = torch.device("cpu")
    task, net, optimizer = setup.task, setup.net, setup.optimizer
    task.loss(net(task.train.inputs[:4]), task.train.targets[:4]).backward()
    optimizer.step()


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
@settings(max_examples=120)
@given(st.data())
def test_any_value_in_any_place_is_refused_in_one_line_or_runs(name, data):
    config = BASES[name]
    path = data.draw(st.sampled_from(list(paths(config))))
    value = data.draw(st.sampled_from(OTHERS))
    try:
        accept(changed(config, path, value))
    except UserError as error:
        assert len(str(error).splitlines()) == 1, str(error)  # noqa: PT017


@pytest.mark.parametrize("name", BASES)
def test_no_knob_may_be_null_without_a_word(name):
    for knob in BASES[name].keys() - {*NOT_HERE, "output", "study", "data_dir", "logger", "batch", "replicas"}:
        try:
            accept(changed(BASES[name], (knob,), None))
        except UserError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017
