"""Figures of what a training step costs, and what has none."""

import itertools
import stat
from types import SimpleNamespace

import pytest

import intrinsic
from analysis.anatomy import anatomy as draw_anatomy
from analysis.figures.backward.graph_layout import graph_layout
from experiments.anatomy import anatomy
from experiments.step.lora_identities import lora_identities
from experiments.step.step_costs import step_costs
from intrinsic.errors import UserError
from intrinsic.files.tensors import write_tensors
from tests.support.small_nets import ADAM, IN, OUT, WIDE, N, data, squares, two_layers
from tests.support.studies import add, refused

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]

SIZES = {"a": (2.0, 0.5), "b": (1.0, 0.3), "c": (1.0, 0.9), "d": (0.5, 0.2)}
EDGES = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d")]


def test_boxes_do_not_overlap(monkeypatch):
    monkeypatch.setenv("PATH", "")  # no graphviz
    places = graph_layout(SIZES, EDGES)
    for (a, (ax, ay)), (b, (bx, by)) in itertools.combinations(places.items(), 2):
        apart = [abs(ax - bx) - (SIZES[a][0] + SIZES[b][0]) / 2, abs(ay - by) - (SIZES[a][1] + SIZES[b][1]) / 2]
        assert max(apart) > 0.05, (a, b)
    assert all(places[source][1] > places[target][1] for source, target in EDGES)


def test_graphviz_places_the_boxes_where_it_is(tmp_path, monkeypatch):
    dot = tmp_path / "dot"
    dot.write_text('#!/bin/sh\nfor i in 0 1 2 3; do echo "node n$i $i 1.5 1 1 label solid box black grey"; done\n')
    dot.chmod(dot.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert graph_layout(SIZES, EDGES) == {name: (float(i), 1.5) for i, name in enumerate(SIZES)}
    dot.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(UserError, match="dot cannot place the graph"):
        graph_layout(SIZES, EDGES)


@pytest.fixture
def study(tmp_path):
    """Full fine-tuning and LoRA, of which a step is measured."""
    study = tmp_path / "outputs" / "grid"
    for method, space, swept in (("full", None, {}), ("lora", intrinsic.LoRA(2), {"rank": 2})):
        for seed in (0, 1):
            record = add(study, method, seed=seed, **swept)
        write(record, intrinsic.Subspace(two_layers(), space=space))
    return study


def write(record, net):
    values = step_costs(net, squares, data(), ADAM) | {"numbers": net.count(), "batch": [N, IN]}
    values |= {"identities": lora_identities(net, squares, data())}
    write_tensors(record.parent / "anatomy.safetensors", {}, {"values": values, "options": {"batch": N}})


@pytest.mark.rendered
def test_the_figures(study):
    drawn = draw_anatomy(study)
    names = ("anatomy", "anatomy_full", "anatomy_lora")
    assert [path.name for path in drawn.paths] == [f"{n}.{s}" for n in names for s in ("png", "pdf", "csv")]
    assert all(path.stat().st_size < 200_000 for path in drawn.paths)
    assert drawn.rows["label"].to_list() == ["full", "lora r=2"]
    assert drawn.rows["flops_forward"].to_list() == [2 * N * (IN * WIDE + WIDE * OUT), 2 * N * (
        IN * WIDE + WIDE * OUT + 2 * (IN + WIDE))]  # fmt: skip
    assert drawn.notes == []  # the other seed costs the same
    assert any("hold to" in line for line in drawn.results)
    before = [path.read_bytes() for path in drawn.paths]
    assert [path.read_bytes() for path in draw_anatomy(study).paths] == before


def test_bad_input(study, tmp_path):
    refused("no run has method=magic: the methods are full, lora", study, figure=draw_anatomy, methods=["magic"])
    (tmp_path / "file").write_text("")
    refused("cannot write to .*file", study, figure=draw_anatomy, out=tmp_path / "file")
    other = add(study, "head")
    notes = draw_anatomy(study).notes
    assert "python -m experiments.anatomy" in notes[0]
    empty = add(tmp_path / "outputs" / "other", "head").parents[1]
    refused(r"no run .* has anatomy.safetensors; `python -m experiments.anatomy", empty, figure=draw_anatomy)
    values = step_costs(intrinsic.Subspace(two_layers()), squares, data(4), ADAM)
    values |= {"numbers": {"trained": 1}, "batch": [4, IN], "identities": None}
    write_tensors(other.parent / "anatomy.safetensors", {}, {"values": values, "options": {}})
    refused("the steps are of batches 16×12 and 4×12", study, figure=draw_anatomy)


@pytest.mark.parametrize("batch", [0, -1, 100])
def test_batches_that_do_not_exist(batch):
    run = SimpleNamespace(task=SimpleNamespace(train=range(99)))
    with pytest.raises(UserError, match=rf"need 1 <= batch <= 99 training examples, got batch={batch}$"):
        anatomy(run, batch=batch)
