"""Similarity: null checks, a planted direction, and what cannot be drawn."""

import itertools

import numpy as np
import pytest

from analysis.similarity import geodesic, phi, similarity
from tests.support.studies import refused
from tests.support.updates_study import QUERY, gaussian, low_rank, moved, orthonormal, random_runs

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]


def test_phi_and_the_geodesic_are_those_of_their_definitions():
    a, b = (orthonormal(9, columns, columns).numpy() for columns in (3, 5))
    found = phi(a, b)
    for i, j in itertools.product(range(1, 4), range(1, 6)):
        entries = [(a[:, p] @ b[:, q]) ** 2 for p in range(i) for q in range(j)]
        assert found[i - 1, j - 1] == pytest.approx(sum(entries) / min(i, j))
    np.testing.assert_allclose(np.diagonal(phi(a, a)), 1)
    angles = np.array([0.1, 0.7, 1.5])  # planted: each direction turned into one of its own
    basis = orthonormal(9, 6, 0).numpy()
    turned = basis[:, :3] * np.cos(angles) + basis[:, 3:] * np.sin(angles)
    assert geodesic(basis[:, :3], turned) == pytest.approx(np.linalg.norm(angles))
    assert phi(basis[:, :3], turned)[2, 2] == pytest.approx(np.mean(np.cos(angles) ** 2))


def test_random_subspaces_are_as_alike_as_the_null_says():
    """E phi = max(i, j) / d: the mean of many pairs, within four of its standard errors."""
    pairs = [(orthonormal(20, 4, seed), orthonormal(20, 6, 9000 + seed)) for seed in range(400)]
    found = np.array([phi(a.numpy(), b.numpy()) for a, b in pairs])
    null = np.maximum.outer(np.arange(1, 5), np.arange(1, 7)) / 20
    error = found.std(0) / len(pairs) ** 0.5
    assert (np.abs(found.mean(0) - null) < 4 * error).all()
    assert (error < 0.1 * null).all()


def test_similarity_of_random_updates_is_the_null(study):
    random_runs(study, seeds=range(4))
    drawn = similarity(study)
    assert set(drawn.rows["between"]) == {"rank 2 against 8", "rank 8 against 8"}
    assert set(drawn.rows["weights"]) == {"query"}  # three layers, one panel
    wide = drawn.rows[drawn.rows["i"].ge(2) & drawn.rows["j"].ge(2)]
    assert wide["random"].equals(wide[["i", "j"]].max(axis=1) / 30)  # right vectors lie in the space of the 30 inputs
    assert (wide["phi"] / wide["random"]).between(0.6, 1.5).all()  # of 18 independent pairs or more
    table = drawn.table.set_index("between")
    assert table.loc["rank 2 against 8", ["layers", "pairs", "d", "k"]].to_list() == [3, 12, 30, 2]
    assert table.loc["rank 8 against 8", ["layers", "pairs", "d", "k"]].to_list() == [3, 6, 30, 8]
    assert set(similarity(study, side="left").rows["d"]) == {40}
    assert len(similarity(study, per="weight").table) == 6
    random_runs(study, ranks=(4, 16), seeds=(0,))
    random_runs(study, ranks=(3,), seeds=(1,))
    assert set(similarity(study).table["between"]) == {"rank 2 against 16", "rank 8 against 8"}
    assert set(similarity(study, where=["seed=0"], pairs="same").table["between"]) == {"rank 2 against 16"}
    assert set(similarity(study, ranks=(3, 4)).table["between"]) == {"rank 3 against 4"}


def test_similarity_finds_a_shared_direction(study):
    """All runs have one left direction in common, which is the leading one, and nothing else."""
    origin, shared = gaussian(40, 30, 0), orthonormal(40, 1, 1)
    for rank, seed in itertools.product((4, 8), (0, 1)):
        number = 10 * rank + seed
        own = low_rank(40, 30, rank - 1, number)
        own -= shared @ (shared.T @ own)
        update = 5 * shared @ orthonormal(30, 1, 500 + number).T + own
        moved(study, {"query.weight": (origin, update)}, rank=rank, seed=seed)
    rows = similarity(study, side="left").rows.set_index(["between", "i", "j"])
    for title in ("rank 4 against 8", "rank 8 against 8"):
        assert rows.loc[(title, 1, 1), "phi"] > 0.95
        assert rows.loc[(title, 1, 1), "sine"] == pytest.approx(np.sqrt(1 - rows.loc[(title, 1, 1), "phi"]), rel=0.2)
        assert rows.loc[(title, 4, 4), "phi"] < 0.5
    assert similarity(study).rows.set_index(["between", "i", "j"]).loc[("rank 4 against 8", 1, 1), "phi"] < 0.3


def test_what_similarity_cannot_draw(study):
    random_runs(study, ranks=(4, 8), seeds=(0,))
    no = {"figure": similarity}
    refused(
        r"need runs of two seeds, as ranks of one seed begin with equal rows of A: .*rank=4,8 seed=0,1",
        study,
        **no,
    )
    refused(r"need runs of two seeds at rank 8: `python run\.py -m rank=8 seed=0,1", study, **no, between="seeds")
    assert similarity(study, pairs="same").table["between"].to_list() == ["rank 4 against 8"]
    assert set(similarity(study, pairs="same", ranks=(8, 4)).table["between"]) == {"rank 8 against 4"}
    refused("no run of rank 64; the ranks are 4, 8", study, **no, ranks=(8, 64))
    refused("need two ranks, got 1: --ranks 4 8", study, **no, ranks=(8,))
    refused("need between to be both or ranks or seeds, got 'layers'", study, **no, between="layers")
    refused("need side to be right or left, got 'top'", study, **no, side="top")
    refused("need pairs to be different or same, got 'all'", study, **no, pairs="all")
    refused("need two ranks, got 4", study, **no, where=["rank=4"], between="ranks")
    moved(study, {QUERY.format(0): (gaussian(40, 30, 0), low_rank(40, 30, 8, 3))}, rank=8, seed=1)
    refused(r"layer\.1\..* has not moved in \w+ but in \w+; leave it out of --weights", study, **no, weights=["query"])
    moved(study, {QUERY.format(0): (gaussian(40, 30, 0), low_rank(40, 30, 8, 3))}, "unilora", rank=8, dim=9)
    assert "methods left out: unilora; --where method=NAME draws one" in similarity(study, pairs="same").notes
    full = study.with_name("full")
    moved(full, {"query.weight": (gaussian(9, 9, 0), gaussian(9, 9, 1))}, "full")
    refused("no run has a rank; `python run.py -m method=lora rank=8,64", full, **no)
