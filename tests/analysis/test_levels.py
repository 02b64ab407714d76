"""Horizontal lines of a figure: each label lies at its line, or as near as the others let it, in the line's colour."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from analysis.figures.figure import draw_curves
from analysis.figures.level import THIN, Level
from analysis.threshold import threshold
from tests.support.studies import add

LINE = 12  # points, of a label of 9 points


def drawn(*levels):
    rows = pd.DataFrame({"curve": "a", "x": [10, 100], "score": [0.6, 0.9], "status": "finished", "chosen": True})
    figure = draw_curves(rows, xlabel="d", ylabel="accuracy", levels=levels)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    labels = {note.get_text(): note for note in axes.texts}
    points = {
        text: note.get_window_extent().get_points()[:, 1].mean() * 72 / figure.dpi for text, note in labels.items()
    }
    at = {level.label: axes.transData.transform((1, level.score))[1] * 72 / figure.dpi for level in levels}
    return axes, points, at


def test_labels_that_would_overlap_part_and_others_stay():
    _, points, at = drawn(*(Level(f"full {k}", 0.88 + 0.002 * k, "-") for k in range(3)), Level("low", 0.65, "--"))
    assert points["low"] == pytest.approx(at["low"], abs=2)
    three = np.array([points[f"full {k}"] for k in range(3)])
    assert np.diff(three) == pytest.approx([LINE, LINE], abs=1)
    assert three[1] == pytest.approx(at["full 1"], abs=2)


def test_a_far_start_is_named_at_the_edge_that_is_drawn():
    """The line of the nearer start moves the edge."""
    axes, points, _ = drawn(Level("near", 0.45, THIN), Level("far", -3.0, THIN))
    assert axes.get_ylim()[0] == pytest.approx(0.45, abs=0.05)
    bottom = axes.transData.transform((1, axes.get_ylim()[0]))[1] * 72 / axes.figure.dpi
    assert points["far ↓"] == pytest.approx(bottom, abs=LINE)
    assert points["far ↓"] < points["near"]


def test_a_target_of_ones_own_has_the_colour_of_its_curve(tmp_path):
    for width, scale in ((50, 0.8), (200, 1.0)):
        for dim in (30, 100, 300, 1000):
            score = scale * (0.95 - 10 / dim)
            add(tmp_path, "subspace", score, score, projection="Fastfood", dim=dim, **{"model.width": width})
        add(tmp_path, "full", 0.95 * scale, 0.95 * scale, **{"model.width": width})
    axes = threshold(tmp_path, across=["model.width"]).figure.axes[0]
    named = {
        note.get_text(): to_rgb(note.get_color()) for note in axes.texts if note.get_text().startswith(("full", "90"))
    }
    curves = {line.get_label().partition(":")[0]: to_rgb(line.get_color()) for line in axes.lines}
    small, large = (curves[f"subspace (fastfood), width={width}"] for width in (50, 200))
    assert named == {"full 0.760": small, "90 % 0.684": small, "full 0.950": large, "90 % 0.855": large}
    assert small != large
    one = threshold(tmp_path, across=["model.width"], baseline=["model.width=200"]).figure.axes[0]
    assert {to_rgb(note.get_color()) for note in one.texts} == {(0, 0, 0)}


def test_a_long_legend_takes_nothing_from_the_axes():
    heights = []
    for count in (3, 14):
        curves = [{"curve": f"a curve of a name of many letters {k}", "x": 10.0 + k} for k in range(count)]
        rows = pd.DataFrame(curves).assign(score=0.5, status="finished", chosen=True)
        figure = draw_curves(rows, xlabel="d", ylabel="accuracy")
        figure.draw_without_rendering()
        heights.append(figure.axes[0].get_window_extent().height / figure.dpi)
    assert heights[1] > heights[0] - 0.2  # inches
