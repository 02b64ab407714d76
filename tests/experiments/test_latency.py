"""How inference is timed, and the table and figure of it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import intrinsic
from analysis.latency import latency as draw_latency
from experiments import latency as timing
from experiments.latency import _longest, _sides, in_turns, latency, tokens
from experiments.run.setup import Setup
from intrinsic.errors import UserError
from intrinsic.files.records import Record
from intrinsic.files.tensors import write_tensors
from intrinsic.models.hugging_face.frame import reading
from tests.support.small_nets import text_net, two_layers
from tests.support.studies import add, refused
from tests.support.tiny_transformers import tiny

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]


class Clock:
    """A clock that moves when somebody calls."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def perf_counter(self):
        return self.now

    def call(self, name, seconds, every=None):
        def call():
            self.calls.append(name)
            late = every is not None and len(self.calls) % every == 0
            self.now += seconds + 5.0 * late  # the machine does something else

        return call


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_turns_are_medians_of_calls_one_after_another(clock):
    times = in_turns([clock.call("base", 0.001, every=7), clock.call("other", 0.002, every=7)], repeats=4)
    assert times.shape == (2, 4)
    assert times[0].tolist() == pytest.approx([0.001] * 4)
    assert times[1].tolist() == pytest.approx([0.002] * 4)
    turns = clock.calls[5:]  # less the two first calls, and three that estimate how many there may be
    assert turns[:4] == ["base", "other", "other", "base"]
    assert turns.count("base") == turns.count("other") == 4 * 25  # 50 ms a turn for two sides of 1 ms


def test_long_calls_are_made_once_a_turn(clock):
    in_turns([clock.call("base", 1.0), clock.call("other", 3.0)], repeats=3)
    assert clock.calls[5:].count("base") == 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["base", "merged"]),
        ({"space": intrinsic.LoRA(2)}, ["base", "merged", "unmerged"]),
        ({"projection": intrinsic.OneHot, "dim": 9}, ["base", "merged", "unmerged"]),
        ({"space": intrinsic.BitFit()}, ["base", "merged"]),
    ],
)
def test_sides(options, expected):
    sides = _sides(SimpleNamespace(net=intrinsic.Subspace(two_layers(), **options)), two_layers())
    assert list(sides) == expected
    assert not any(side.training for name, side in sides.items() if name != "base")


@pytest.mark.parametrize("space", [intrinsic.Adapter(4), intrinsic.Prefix(3)])
def test_what_cannot_be_merged_is_timed_as_it_is(space):
    assert list(_sides(SimpleNamespace(net=text_net(2, space=space)), tiny("bert"))) == ["base", "unmerged"]


def test_tokens_fill_the_length_and_end():
    model = tiny("llama")
    ids = tokens(model, 3, 7)
    assert (ids.shape, ids.dtype) == ((3, 2, 7), torch.int32)
    assert (ids[:, 0, -1] == 1).all()
    assert (ids[:, 0, :-1] >= 15).all()
    assert (ids[:, 1] == 0).all()


def test_the_longest_text_is_what_the_model_has_positions_for():
    longest = {family: _longest(tiny(family)) for family in ("bert", "roberta", "gpt2", "t5")}
    assert longest == {"bert": 32, "roberta": 33, "gpt2": 32, "t5": None}  # roberta's padding token is 0 here
    with torch.no_grad():
        tiny("roberta")(input_ids=tokens(tiny("roberta"), 1, 33)[:, 0])
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        tiny("roberta")(input_ids=tokens(tiny("roberta"), 1, 34)[:, 0])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"batches": (1, 0)}, "need batches >= 1, got batches=1 0$"),
        ({"lengths": (-3,)}, "need lengths >= 1, got lengths=-3$"),
        ({"repeats": 0}, "need repeats >= 1, got repeats=0$"),
        ({"copies": 0}, "need copies >= 1, got copies=0$"),
        ({"lengths": (16, 33)}, "the model reads at most 32 tokens, got lengths=16 33$"),
    ],
)
def test_bad_options(options, match, text_run):
    with pytest.raises(UserError, match=match):
        latency(text_run, **options)


@pytest.fixture
def text_run(monkeypatch):
    setup = Setup({"seed": 0, "model": {}, "tokenizer": {}})
    monkeypatch.setattr(setup, "model", lambda: reading(tiny("bert").eval(), "float32"))
    return SimpleNamespace(
        setup=setup, task=None, device=torch.device("cpu"),
        net=text_net(2, space=intrinsic.LoRA(2)),
        record=Record(status="finished", method="lora", numbers={}, config={}),
    )  # fmt: skip


def test_each_copy_has_its_turns(text_run):
    values, arrays = latency(text_run, batches=(1, 2), lengths=(8,), repeats=2, copies=3)
    assert set(arrays) == {f"{batch}x8/{side}" for batch in (1, 2) for side in ("base", "merged", "unmerged")}
    assert all(row.shape == (6,) and (row > 0).all() for row in arrays.values())
    assert values["text"] is True


@pytest.fixture
def study(tmp_path):
    """LoRA at 20 % over base at two settings, merged at 0 %; adapters at 50 %."""
    study = tmp_path / "outputs" / "grid"
    base = np.array([9.0, 10.0, 11.0, 30.0, 10.0])
    for method, swept, sides in (
        ("lora", {"rank": 2}, {"merged": 1.0, "unmerged": 1.2}),
        ("adapter", {}, {"unmerged": 1.5}),
    ):
        record = add(study, method, **swept)
        arrays = {
            f"{batch}x{length}/{side}": torch.from_numpy(batch * ratio * base)
            for batch in (8, 16)
            for length in (32, 128)
            for side, ratio in {"base": 1.0, **sides}.items()
        }
        write(record, arrays)
    return study


def write(record, arrays, load=0.5):
    values = {"numbers": {"trained": 99}, "device": "cpu", "threads": 1, "load": load}
    write_tensors(record.parent / "latency.safetensors", arrays, {"values": values, "options": {}})


@pytest.mark.rendered
def test_the_figure_and_the_table(study):
    drawn = draw_latency(study)
    table = drawn.table
    assert list(zip(table["batch"], table["length"], strict=True))[::4] == [(8, 32), (8, 128), (16, 32), (16, 128)]
    assert table["model"].to_list()[:4] == ["base", "adapter", "lora r=2, merged", "lora r=2, unmerged"]
    assert table["over base"].to_list()[:4] == ["", "+50.0 %", "+0.0 %", "+20.0 %"]
    assert table["ms"].to_list()[:4] == ["80", "120", "80", "96"]
    assert table["ms, quartiles"][0] == "80 to 88"
    bars = [bar.get_height() for bar in drawn.figure.axes[0].patches]
    assert bars == pytest.approx([50, 0, 20] * 4)
    assert "lora r=2, unmerged: +20.0 to +20.0 % over the base model" in drawn.results
    assert [path.name for path in drawn.paths] == ["latency.png", "latency.pdf", "latency.csv"]
    assert drawn.paths[0].stat().st_size < 200_000
    assert draw_latency(study, methods=["adapter"]).table["model"].to_list() == ["base", "adapter"] * 4


def test_models_without_a_length_have_no_such_column(tmp_path):
    record = add(tmp_path / "outputs" / "grid", "full")
    write(record, {f"{batch}x0/{side}": torch.ones(3) for batch in (1, 8) for side in ("base", "merged")})
    drawn = draw_latency(record.parents[1])
    assert "length" not in drawn.table
    assert drawn.table["model"].to_list() == ["base", "full"] * 2
    assert drawn.figure.axes[0].get_xlabel() == "batch"


def test_bad_input(study, tmp_path):
    refused("no run has method=magic: the methods are", study, figure=draw_latency, methods=["magic"])
    (tmp_path / "file").write_text("")
    refused("cannot write to .*file", study, figure=draw_latency, out=tmp_path / "file")
    empty = add(tmp_path / "outputs" / "other", "head").parents[1]
    refused("has latency.safetensors; `python -m experiments.latency", empty, figure=draw_latency)
    add(study, "head")
    assert "runs without latency: 1" in draw_latency(study).notes[0]


def test_a_busy_machine_is_said(study):
    assert draw_latency(study).notes == []
    write(add(study, "full"), {f"1x0/{side}": torch.ones(3) for side in ("base", "merged")}, load=2.5)
    assert draw_latency(study).notes == [
        "timed on a busy machine, 2.5 processes a core: trust no difference below the spread"
    ]
