"""Similarity, amplification and spectrum: null checks, planted truths, and what cannot be drawn."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import image, text

from analysis.amplification import amplification
from analysis.references.marchenko_pastur import marchenko_pastur
from analysis.similarity import geodesic, phi, similarity
from analysis.spectrum import effective_rank, energy, resemblance_of_random, spectrum, stable_rank
from tests.support.studies import add, python, refused
from tests.support.updates_study import gaussian, low_rank, moved, orthonormal

pytestmark = pytest.mark.usefixtures("unrendered")

FIGURES = [similarity, amplification, spectrum]
QUERY = "layer.{}.attention.query.weight"


def random_runs(study, ranks=(2, 8), seeds=(0, 1), layers=3, shape=(40, 30)):
    """LoRA's runs whose updates are independent and random."""
    origins = {QUERY.format(layer): gaussian(*shape, layer) for layer in range(layers)}
    for rank, seed in itertools.product(ranks, seeds):
        updates = [low_rank(*shape, rank, 100 * rank + 10 * seed + layer) for layer in range(layers)]
        moved(study, dict(zip(origins, zip(origins.values(), updates, strict=True), strict=True)), rank=rank, seed=seed)


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


def test_directions_below_rounding_are_not_compared(study):
    """A run of rank 8 whose update has rank 3 has three directions; what is left is noise of float32."""
    for seed in (0, 1):
        update = low_rank(40, 30, 3, seed) + 1e-8 * gaussian(40, 30, 7 + seed)
        moved(study, {"query.weight": (gaussian(40, 30, 0), update)}, rank=8, seed=seed)
    drawn = similarity(study)
    assert (drawn.rows["i"].max(), drawn.rows["j"].max()) == (3, 3)
    assert drawn.notes == ["not drawn between ranks: need two ranks, got 8: `python run.py -m rank=8,64 ...` makes two"]
    assert amplification(study).table["r"].to_list() == [3]
    assert spectrum(study).rows.query("quantity == 'singular value' and run != 'W₀'")["j"].max() == 3


def test_amplification_is_that_of_its_formula(study):
    origin, update = gaussian(12, 8, 0), gaussian(12, 8, 1)
    moved(study, {"query.weight": (origin, update)}, "full")
    drawn = amplification(study)
    u, _, vt = np.linalg.svd(update.numpy())
    values = np.linalg.svd(origin, compute_uv=False)
    for row in drawn.rows.itertuples():
        inside = np.linalg.norm(u[:, : row.r].T @ origin.numpy() @ vt[: row.r].T)
        norms = np.linalg.norm(update), np.linalg.norm(origin)
        assert row.factor_update == pytest.approx(norms[0] / inside, rel=1e-5)
        assert row.factor_origin == pytest.approx(norms[0] / np.linalg.norm(values[: row.r]), rel=1e-5)
        assert row.factor_expected == pytest.approx(norms[0] / (row.r * norms[1] / np.sqrt(12 * 8)), rel=1e-5)
        assert (row.norm_update, row.norm_origin) == pytest.approx(norms, rel=1e-5)
    assert drawn.rows["r"].to_list() == [1, 2, 4, 8]
    assert drawn.table["r"].to_list() == [8]


def test_amplification_of_random_and_of_planted_directions(study):
    """Random updates are at the null; an update inside the leading directions of W_0 is at W_0's own factor."""
    random_runs(study, ranks=(8,), seeds=range(4))
    drawn = amplification(study).rows
    ratio = (drawn["within_update"] ** 2).mean() / (drawn["within_expected"] ** 2).mean()
    assert ratio == pytest.approx(1, abs=0.2)  # of 12 squares whose standard deviation is about a fifth
    assert (drawn["within_random"] ** 2).mean() / (drawn["within_expected"] ** 2).mean() == pytest.approx(1, abs=0.2)
    u, values, vt = torch.linalg.svd(gaussian(40, 30, 0), full_matrices=False)
    inside = u[:, :4] @ torch.diag(values[:4]) @ vt[:4]
    moved(study.with_name("inside"), {"query.weight": (gaussian(40, 30, 0), inside)}, rank=4)
    (row,) = amplification(study.with_name("inside")).rows.itertuples()
    assert row.factor_update == pytest.approx(1, rel=1e-5)  # ||dW|| is all that W_0 has there
    assert row.factor_origin == pytest.approx(1, rel=1e-5)
    assert row.factor_expected > 2


def test_ranks_of_planted_values():
    assert effective_rank(np.array([2.0, 2, 2, 0])) == pytest.approx(3)
    assert stable_rank(np.array([2.0, 2, 2, 0])) == pytest.approx(3)
    p = np.array([0.5, 0.25, 0.25])
    assert effective_rank(8 * p) == pytest.approx(2**1.5)  # an entropy of 1.5 bits
    assert stable_rank(8 * p) == pytest.approx(1.5)
    assert [energy(8 * p, k) for k in (1, 2, 9)] == pytest.approx([2 / 3, 5 / 6, 1])


def test_a_planted_update_of_rank_three(study):
    moved(study, {"query.weight": (gaussian(40, 30, 0), low_rank(40, 30, 3, 1, size=0.5))}, rank=8)
    rows = spectrum(study).rows
    numbers = rows[rows["j"].isna() & (rows["run"] == "lora r=8")].set_index("quantity")["value"]
    assert numbers["effective rank"] == pytest.approx(3, rel=1e-4)
    assert numbers["stable rank"] == pytest.approx(3, rel=1e-4)
    assert numbers["energy at k"] == pytest.approx(1)
    assert rows.query("quantity == 'singular value' and run == 'lora r=8'")["value"].to_list() == pytest.approx(
        [0.5] * 3
    )
    assert spectrum(study, k=1).table.set_index("run").loc["lora r=8", "energy at 1"] == pytest.approx(1 / 3, rel=1e-4)


def test_planted_intruders_are_found_and_none_in_the_weight_itself(study):
    origin = gaussian(200, 150, 0)
    left = torch.linalg.svd(origin, full_matrices=False)[0]
    intruders = orthonormal(200, 3, 1)  # a random direction resembles none of 150 in R^200
    assert (left.T @ intruders).abs().max() < 0.4
    update = 100 * intruders @ orthonormal(150, 3, 2).T
    moved(study, {"query.weight": (origin, update)}, rank=3)
    moved(study, {"query.weight": (origin, 0.5 * origin)}, "full")  # its directions are W_0's own
    for k, found in ((2, 2), (3, 3), (10, 3)):
        table = spectrum(study, k=k).table.set_index("run")
        assert table.loc[["lora r=3", "full"], "intruders"].to_list() == [found, 0]
    assert spectrum(study, epsilon=0.01).table.set_index("run").loc["lora r=3", "intruders"] == 0
    resemblance = spectrum(study).rows.query("quantity == \"largest |cosine| to W₀'s\" and run == 'full'")["value"]
    assert resemblance.to_list() == pytest.approx([1] * 64)


def test_the_nulls_of_a_spectrum():
    for shape in ((60, 60), (200, 40), (40, 200)):
        values = np.mean([np.linalg.svd(gaussian(*shape, seed), compute_uv=False) for seed in range(30)], axis=0)
        null = marchenko_pastur(shape, np.linalg.norm(values))
        assert np.linalg.norm(null) == pytest.approx(np.linalg.norm(values))
        np.testing.assert_allclose(null, values, atol=0.03 * values[0])  # of an asymptotic law, at 40 values
        assert effective_rank(null) == pytest.approx(effective_rank(values), rel=0.01)
    left = orthonormal(300, 100, 0)
    found = [float((left.T @ orthonormal(300, 1, seed)).abs().max()) for seed in range(1, 200)]
    assert np.median(found) == pytest.approx(resemblance_of_random((300, 100)), rel=0.03)


@pytest.mark.rendered
@pytest.mark.slow
@pytest.mark.parametrize("function", FIGURES)
def test_three_small_legible_files(study, function, monkeypatch):
    origins = {
        f"encoder.layer.{layer}.{name}.weight": gaussian(40, 30, layer)
        for layer in range(2)
        for name in ("attention.self.query", "attention.self.key", "attention.output.dense", "output.dense")
    }
    origins["pooler.weight"] = gaussian(40, 40, 9)
    for number, (rank, seed) in enumerate(itertools.product((4, 16), (0, 1))):
        updates = {n: (w, low_rank(*w.shape, rank, 50 * number + i)) for i, (n, w) in enumerate(origins.items())}
        moved(study, updates, rank=rank, seed=seed)
    if function is not similarity:
        moved(study, {n: (w, gaussian(*w.shape, 77)) for n, w in origins.items()}, "full")
        moved(study, {n: (w, gaussian(*w.shape, 78)) for n, w in origins.items()}, "subspace", dim=300,
              projection="Fastfood")  # fmt: skip
    labels = {"query", "key", "attention.output.dense", "*.output.dense", "pooler"}
    drawn = function(study)
    assert [path.name for path in drawn.paths] == [f"{function.__name__}.{suffix}" for suffix in ("png", "pdf", "csv")]
    png, pdf, csv = before = [path.read_bytes() for path in drawn.paths]
    assert (len(png) < 200_000, pdf[:4], csv.count(b"\n")) == (True, b"%PDF", len(drawn.rows) + 1)
    assert image.imread(drawn.paths[0])[..., :3].std() > 0.05  # something is drawn
    assert [path.read_bytes() for path in function(study).paths] == before
    drawn_texts, draw = {}, text.Text.draw  # a tick outside of its axes is not drawn

    def note(label, *arguments, **options):
        drawn_texts[id(label)] = label
        draw(label, *arguments, **options)

    monkeypatch.setattr(text.Text, "draw", note)
    drawn.figure.draw_without_rendering()
    texts = [label for label in drawn_texts.values() if label.get_visible() and label.get_text()]
    boxes = [(label.get_text(), label.get_window_extent()) for label in texts]
    (x0, y0), (x1, y1) = drawn.figure.bbox.padded(1).get_points()
    assert len(boxes) > 10
    assert [name for name, box in boxes if box.x0 < x0 or box.y0 < y0 or box.x1 > x1 or box.y1 > y1] == []
    assert labels <= {name.replace("\n", "") for name, _ in boxes}
    assert [(a, b) for (a, s), (b, t) in itertools.combinations(boxes, 2) if s.overlaps(t)] == []
    assert set(drawn.rows["weights"]) == labels


def test_weights_are_chosen_by_parts_of_their_names(study):
    weights = {name: (gaussian(20, 20, i), low_rank(20, 20, 2, i)) for i, name in enumerate(
        (QUERY.format(0), QUERY.format(1), "layer.0.output.weight", "head.weight"))}  # fmt: skip
    for seed in (0, 1):
        moved(study, weights, rank=2, seed=seed, head=["head.weight"])
    both = amplification(study)
    assert both.rows["weights"].unique().tolist() == ["query", "output"]
    assert both.notes == ["weights left out, the head or not moved in every run: head.weight; --weights draws them"]
    for wanted, names in ((["layer.0"], {QUERY.format(0), "layer.0.output.weight"}), (["head"], {"head.weight"}),
                          (["layer.*.attention"], {QUERY.format(0), QUERY.format(1)}), (["ut"], None)):  # fmt: skip
        if names is None:
            refused(
                "no weight that has moved has ut in its name; there are layer.0", study, figure=spectrum, weights=wanted
            )
        else:
            assert set(amplification(study, weights=wanted).rows["name"]) == names
    assert amplification(study, per="weight").rows["weights"].unique().tolist() == [
        "0.attention.query",
        "1.attention.query",
        "output",
    ]


def test_settings_are_chosen_on_validation(study):
    for lr, validation in ((0.1, 0.9), (0.01, 0.7)):
        moved(
            study,
            {"query.weight": (gaussian(20, 20, 0), lr * gaussian(20, 20, 1))},
            "full",
            lr=lr,
            validation=validation,
        )
    drawn = amplification(study)
    assert drawn.table["‖ΔW‖"].to_list() == pytest.approx([float((0.1 * gaussian(20, 20, 1)).norm())], rel=1e-4)
    assert "runs of settings that validation did not choose, left out: 1" in drawn.notes


@pytest.mark.parametrize("function", FIGURES)
def test_what_cannot_be_drawn(study, function, tmp_path):
    add(study, rank=2, seed=99)
    refused(r"has updates.safetensors; `python -m experiments\.updates .*demo` makes them", study, figure=function)
    random_runs(study)
    (tmp_path / "file").touch()
    refused(
        r"cannot write to .*file: .*; choose another folder with --out", study, figure=function, out=tmp_path / "file"
    )
    refused("need per to be type or weight, got 'layer'", study, figure=function, per="layer")
    moved(study, {"query.weight": (gaussian(40, 30, 0), low_rank(40, 30, 2, 1))}, rank=2, seed=7)
    assert any(note.startswith("runs left out, which did not move layer.") for note in function(study).notes)
    moved(study, {"query.weight": (gaussian(40, 30, 0), low_rank(40, 30, 2, 1))}, rank=2, model={"width": 9})
    refused(r"the runs are of different tasks: model\.width is", study, figure=function)
    only = tmp_path / "outputs" / "heads"
    moved(only, {"head.weight": (gaussian(9, 9, 0), gaussian(9, 9, 1))}, rank=2, head=["head.weight"])
    refused("the head alone has moved; --weights head.weight draws it", only, figure=function)


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


def test_what_the_others_cannot_draw(study):
    moved(study, {"query.weight": (gaussian(9, 7, 0) * 0, gaussian(9, 7, 1))}, "full")
    refused("query.weight is zero before training, nothing in it is amplified", study, figure=amplification)
    for k in (0, 8):
        refused(f"need 0 < k <= 7, the directions that were measured, got k={k}", study, figure=spectrum, k=k)
    for epsilon in (0, 1.5):
        refused(f"need 0 < epsilon <= 1, got epsilon={epsilon}", study, figure=spectrum, epsilon=epsilon, k=7)


@pytest.mark.slow
@pytest.mark.parametrize("function", FIGURES)
def test_the_command_prints_the_table(study, function, tmp_path):
    random_runs(study)
    done = python("-m", f"analysis.{function.__name__}", study, "--weights", "query", "--out", tmp_path / "figures")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{function.__name__}.csv" in done.stdout
    assert len(pd.read_csv(tmp_path / "figures" / f"{function.__name__}.csv")) > 10
    done = python("-m", f"analysis.{function.__name__}", study, "--weights", "nothing")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert not json.loads(
        python(
            "-c",
            f"""if True:
        import sys, json, analysis.{function.__name__}
        print(json.dumps(sorted({{'torch', 'experiments', 'matplotlib.pyplot'}} & set(sys.modules))))""",
        ).stdout
    )
