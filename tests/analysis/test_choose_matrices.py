"""Which matrices are recommended, from gradients and updates that are planted."""

import re

import numpy as np
import pytest

from analysis.advice.matrix_gains import kind
from analysis.choose import choose
from tests.support.choose_study import SHAPES, fill, gradients, said, updates
from tests.support.studies import add

pytestmark = pytest.mark.usefixtures("unrendered")


def test_matrices_stand_in_the_order_of_their_gain(study):
    """At rank 4, gain = 2 s / (4 (m + n)): q 8 / 128, v 4 / 128, up 20 / 320; layer 1 has 1.1 times as much."""
    fill(study)
    gradients(study, {"q": 4.0, "v": 2.0, "up": 10.0})
    updates(study, {"q": 1.0, "v": 2.0, "up": 1.0})
    updates(study, {"q": 3.0, "v": 1.0}, method="lora")
    drawn = choose(study, rank=4)
    matrices = drawn.rows[drawn.rows["part"] == "matrix"].set_index("name")
    assert matrices.loc["net.layer.0.q.weight", "gain"] == pytest.approx(4 * 2 / (4 * 32))
    assert matrices.loc["net.layer.1.up.weight", "gain"] == pytest.approx(1.1 * 10 * 2 / (4 * 80))
    assert list(drawn.table["matrices"]) == ["q", "up", "v"]
    average = (8 + 4 + 20) * 2.1 / (2 * 4 * (32 + 32 + 80))
    expected = [1.05 * rate / average for rate in (8 / 128, 20 / 320, 4 / 128)]
    assert list(drawn.table["gain of rank 4, × average"]) == pytest.approx(expected)
    assert list(drawn.table["share of ‖ΔW‖², full"]) == pytest.approx([1 / 6, 1 / 6, 4 / 6])
    lora = next(column for column in drawn.table if "LoRA" in column)
    assert list(drawn.table[lora]) == pytest.approx([0.9, np.nan, 0.1], nan_ok=True)
    assert list(drawn.table["share of weights"]) == pytest.approx([1 / 6, 4 / 6, 1 / 6])
    assert "begin with q and up; at theta_0" in said(drawn)
    assert "(q 2.0 times v), and both halves of the batch say the same" in said(drawn)
    assert "space.targets=[q,up]." in said(drawn)
    (line,) = [line for line in drawn.results if "(full): rank correlation" in line]
    assert "over 6 matrices; without any relation within ±0.88 in 19 of 20 cases" in line  # 1.96 / sqrt(5)


def test_halves_that_disagree_are_said(study):
    fill(study)
    gradients(study, {"q": 4.0, "v": 2.0}, halves=({"q": 9.0, "v": 1.0}, {"q": 1.0, "v": 9.0}))
    assert "but the halves of the batch say q, and v: treat it as a guess" in said(choose(study))


def test_head_and_embeddings_are_left_out(study):
    fill(study)
    gradients(study, {"q": 4.0, "v": 2.0, "up": 10.0}, v="embedding", up="head")
    assert list(choose(study).table["matrices"]) == ["q"]
    assert "Matrices: the gradients prefer none." in said(choose(study))


def test_no_full_training_and_no_updates_are_no_mistake(study):
    fill(study, baseline=False)
    gradients(study, {"q": 4.0, "v": 2.0})
    drawn = choose(study)
    assert "begin with q; at theta_0, a parameter trained there at rank 16" in said(drawn)  # measured no further
    assert any(f"no updates of LoRA, rank 32: `python -m experiments.updates {study}`" in note for note in drawn.notes)


def test_gradients_without_ranks_still_say_matrices(study):
    for seed in (0, 1):
        add(study, "full", seed=seed)
    gradients(study, {"q": 4.0, "v": 2.0}, method="full")
    drawn = choose(study)
    assert "Which rank and which learning rate is not known: no run of LoRA has finished." in said(drawn)
    assert "a parameter trained there at rank 1 gains more" in said(drawn)
    assert any("`python run.py -m method=lora rank=1,2,4,8 seed=0,1,2 study=demo` makes" in x for x in drawn.notes)
    assert any(
        f"no updates of full: `python -m experiments.updates {study}` measures updates" in x for x in drawn.notes
    )
    assert len(drawn.figure.axes) == 1


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("bert.encoder.layer.3.attention.self.query.weight", "attention.self.query"),
        ("bert.pooler.dense.weight", "bert.pooler.dense"),
        ("hidden.0.weight", "hidden.0"),
        ("blocks.1.0.conv1.weight", "conv1"),
        ("encoder.layers.0.mlp.2.weight", "mlp.2"),
        ("blocks.0.attention.in_proj_weight", "attention.in_proj"),
    ],
)
def test_types_of_matrices(name, found):
    assert kind(name) == found


def test_endings_that_mean_more_than_one_type_become_an_expression(study, monkeypatch):
    monkeypatch.setitem(SHAPES, "attention.output.dense", (16, 16))
    monkeypatch.setitem(SHAPES, "output.dense", (16, 16))
    fill(study)
    gradients(study, {"output.dense": 4.0, "attention.output.dense": 1.0})
    (pattern,) = re.findall(r"space\.targets='(.*)'\.$", said(choose(study)))
    assert re.fullmatch(pattern, "net.layer.3.output.dense")
    assert not re.fullmatch(pattern, "net.layer.3.attention.output.dense")
