"""Curves that reach their target and fall below it again are said to, where that is more than noise."""

import pytest

from analysis.compare import compare
from analysis.threshold import threshold
from tests.support.studies import add

pytestmark = pytest.mark.usefixtures("unrendered")
DIMS = (30, 100, 300, 1000, 3000)


def fill(study, scores, noise=0.004, method="subspace", seeds=(0, 1, 2)):
    for seed in seeds:
        for dim, score in zip(DIMS, scores, strict=True):
            value = score + noise * (seed - 1)
            add(study, method, value, value, projection="Fastfood", dim=dim, seed=seed)


def said(drawn):
    return [note for note in drawn.notes if "below it again" in note]


@pytest.fixture
def study(tmp_path):
    for seed in (0, 1, 2):
        add(tmp_path / "grid", "full", 0.95 + 0.004 * (seed - 1), seed=seed)
    return tmp_path / "grid"


def test_a_fall_is_said_with_its_sizes(study):
    fill(study, (0.5, 0.9, 0.92, 0.80, 0.75))
    (note,) = said(threshold(study))
    assert note.startswith("subspace (fastfood) reaches its target, 0.855, at dim 100 and lies below it again at 1,000")
    (note,) = said(compare(study))
    assert "1,000, 3,000" in note


@pytest.mark.parametrize(
    ("scores", "noise"),
    [
        ((0.5, 0.8, 0.9, 0.93, 0.94), 0.004),  # rises
        ((0.5, 0.9, 0.92, 0.90, 0.88), 0.004),  # falls, above the target
        ((0.5, 0.86, 0.85, 0.86, 0.85), 0.01),  # stays there, up to noise
        ((0.5, 0.6, 0.7, 0.8, 0.84), 0.004),  # never reaches it
    ],
)
def test_of_others_nothing_is_said(study, scores, noise):
    fill(study, scores, noise)
    assert not said(threshold(study))


def test_of_sizes_with_one_seed_nothing_is_known_of_noise(study):
    """Baselines repeat better than subspaces do: their noise is no measure of that."""
    fill(study, (0.5, 0.9, 0.92, 0.80, 0.75), seeds=(1,))
    assert not said(threshold(study))
