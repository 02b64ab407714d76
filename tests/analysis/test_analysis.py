import itertools

import pandas as pd
import pytest
from matplotlib import image, text

from analysis.compare import compare
from analysis.dim_curve import dim_curve
from analysis.rank_curve import rank_curve
from tests.support.studies import add, point, python, refused

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]


@pytest.mark.rendered
@pytest.mark.parametrize("function", [rank_curve, dim_curve, compare])
def test_three_files_with_legible_labels(study, function):
    for seed in range(3):
        for rank in (1, 2, 4, 8, 16):
            add(study, rank=rank, seed=seed, test=0.961 - 0.09 / rank + 0.004 * seed)
        for dim, name in itertools.product((10, 30, 100, 300, 1000, 3000), ("Fastfood", "Dense")):
            add(study, "subspace", 0.1 + 0.86 / (1 + (80 / dim) ** 1.2), projection=name, dim=dim, seed=seed)
        for method, score in (("full", 0.965), ("head", 0.965 * 0.85), ("bitfit", 0.88)):
            add(study, method, score, seed=seed)
    add(study, rank=16, seed=9, status="diverged")
    drawn = function(study, **(options := {} if function is compare else {"fraction": 0.851}))  # nearly the head's line
    assert [path.name for path in drawn.paths] == [f"{function.__name__}.{suffix}" for suffix in ("png", "pdf", "csv")]
    assert {*(study / "figures").iterdir()} == {*drawn.paths}  # and no temporary file
    png, pdf, csv = before = [path.read_bytes() for path in drawn.paths]
    height = 651 + 30 * (function is compare)  # 4.2 in at 150 dpi and a line at the foot; a fourth line of the legend
    assert image.imread(drawn.paths[0]).shape == (height, 960, 4)
    assert image.imread(drawn.paths[0])[..., :3].std() > 0.05  # something is drawn
    assert (len(png) < 200_000, pdf[:4], csv.count(b"\n")) == (True, b"%PDF", len(drawn.rows) + 1)
    assert [path.read_bytes() for path in function(study, **options).paths] == before  # same records, same bytes
    drawn.figure.draw_without_rendering()
    texts = [label for label in drawn.figure.findobj(text.Text) if label.get_visible() and label.get_text()]
    boxes = [(label.get_text(), label.get_window_extent()) for label in texts]
    (x0, y0), (x1, y1) = drawn.figure.bbox.padded(1).get_points()
    assert len(boxes) > 10
    assert [name for name, box in boxes if box.x0 < x0 or box.y0 < y0 or box.x1 > x1 or box.y1 > y1] == []
    assert [(a, b) for (a, s), (b, t) in itertools.combinations(boxes, 2) if s.overlaps(t)] == []


def test_numbers_are_those_computed_by_hand(study):
    for seed, score in enumerate((0.80, 0.84, 0.91)):
        add(study, rank=2, seed=seed, test=score, validation=0.5)
    add(study, "full", 0.96, lr=0.001)
    drawn = rank_curve(study)
    found = point(drawn, "lora", 2)
    assert found[["runs", "trained", "setting", "tried"]].to_list() == [3, 896, "lr=0.01", 1]
    assert (found["mean"], found["sd"]) == pytest.approx((0.85, 0.0556776))  # sqrt((0.05^2 + 0.01^2 + 0.06^2) / 2)
    csv = pd.read_csv(drawn.paths[2]).set_index("curve")
    rows = csv.loc["lora", ["x", "seed", "score", "validation_score", "epoch"]].to_numpy().tolist()
    assert rows == [[2, 0, 0.80, 0.5, 30], [2, 1, 0.84, 0.5, 30], [2, 2, 0.91, 0.5, 30]]
    assert (csv.loc["full", "score"], csv.loc["full", "lr"], bool(csv.loc["full", "chosen"])) == (0.96, 0.001, True)
    assert point(rank_curve(study, split="validation"), "lora", 2)["mean"] == pytest.approx(0.5)
    assert point(rank_curve(study, epoch="best"), "lora", 2)["mean"] == pytest.approx(0.86)
    assert point(compare(study), "full", 101770)["mean"] == 0.96


def test_runs_without_a_score_are_listed(study):
    add(study, rank=1)
    diverged = add(study, rank=4, seed=1, status="diverged")
    failed = add(study, rank=4, seed=2, status="failed", lr=0.1)
    failed.write_text(failed.read_text().replace('"metric": "accuracy", "numbers": {"trained": 1792}, ', ""))
    for folder in ("0123456789ab", "figures", ".pretrained"):  # one unfinished run
        (study / folder).mkdir()
    done = python("-m", "analysis.rank_curve", study)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"diverged {diverged.parent.name}: lora rank=4 lr=0.01 seed=1: loss is nan at step 12\n" in done.stdout
    assert f"failed {failed.parent.name}: lora rank=4 lr=0.1 seed=2: loss is nan at step 12\n" in done.stdout
    assert f"note: unfinished runs left out: 1 in {study}; " in done.stdout.split("method=full study=demo")[0]
    csv = pd.read_csv(study / "figures" / "rank_curve.csv")
    assert (csv["status"].tolist(), csv["score"].count()) == (["finished", "diverged", "failed"], 1)
    figure = rank_curve(study).figure
    assert [label.get_text() for label in figure.legends[0].get_texts()] == ["lora", "diverged"]
    assert [list(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "x"] == [[4]]


@pytest.mark.rendered
def test_mixed_tasks_need_a_filter_and_studies_are_put_together(study, tmp_path):
    add(study, rank=1, test=0.5, dataset={"_target_": "data.Digits", "rotate": 0})
    add(study, rank=1, test=0.9, dataset={"_target_": "data.Digits", "rotate": 90})
    refused(
        r"tasks: dataset\.rotate is 0 .* or 90 .*one study, or --where dataset\.rotate=0; .*--across dataset", study
    )
    refused(r"no run has dataset\.rotate=45; dataset\.rotate is 0, 90", study, where=["dataset.rotate=45"])
    refused(r"got dataset\.rotat=0; the nearest is dataset\.rotate", study, where=["dataset.rotat=0"])
    where = ["dataset.rotate=90", "rank=1"]
    refused(r"-m method=subspace dim=\S+ dataset\.rotate=90 study=demo`", study, figure=dim_curve, where=where)
    add(study.with_name("more"), rank=1, seed=1, test=0.8, dataset={"_target_": "data.Digits", "rotate": 90})
    drawn = rank_curve(study, study.with_name("more"), study, where=where, out=tmp_path / "here")
    assert point(drawn, "lora", 1)["mean"] == pytest.approx(0.85)  # 0.9 and 0.8: a run that is named twice counts once
    assert {path.parent for path in drawn.paths} == {tmp_path / "here"}


def test_tasks_may_be_drawn_across_a_key(study):
    """Small networks make one curve over their sizes; starts, which differ at one size, a curve each."""
    for width in (1, 2):
        path = add(study, "full", 0.4 * width, model={"width": width})
        path.write_text(path.read_text().replace("101770", f"{100 * width}"))
    compared = compare(study, across=["model.width"])
    assert list(compared.points["x"]) == [100, 200]
    assert list(compared.points["curve"]) == ["full", "full"]
    for start in ("zero", None):
        add(study, "subspace", 0.8, projection="Fastfood", dim=100, start=start, model={"width": 1})
    refused("tasks: start is null .* or zero", study, figure=compare, across=["model.width"])
    drawn = dim_curve(study, across=["model.width", "start"], fraction=None)
    assert {name for name in drawn.points["curve"] if "subspace" in name} == {
        "subspace (fastfood), start=zero",
        "subspace (fastfood), start=null",
    }
    refused(r"need --across KEY with a key .*, got model\.widht; the nearest is model\.width", study,
            figure=compare, across=["model.widht"])  # fmt: skip


def test_corrupt_record(study):
    path = add(study, rank=1)
    whole = path.read_text()
    for old, new, rule in (
        ('{"format"', '{"format', r"record\.json cannot be read \(.*\): delete its folder"),
        ('"format": 1', '"format": 2', "has format 2, this program reads 1"),
        ('"status": "finished"', '"status": "odd"', "status is odd, not one of"),
        (
            '"test": {"accuracy": 0.9}',
            '"test": {"accuracy": NaN}',
            r"cannot be read \(NaN is not a number\): delete its folder",
        ),
        ('"last"', '"lost"', r"last\.epoch is null, not a number"),
        ('"seed": 0, "lr"', '"lr"', r"config\.seed is null, not a number"),
    ):
        assert old in whole
        path.write_text(whole.replace(old, new))
        refused(rule, study)
    assert not (study / "figures").exists()


def test_inputs_that_cannot_be_drawn(study):
    add(study, "full")
    refused(r"no run in .*demo has a rank; `python run\.py -m rank=1,2,4,8 study=demo`", study)
    add(study, rank=1, status="diverged")
    refused(r"no run with a rank has finished: 1 diverged; .* says: loss is nan at step 12", study)
    run = add(study, rank=1, seed=1)
    refused(r"no study folder .*demi; the nearest is .*demo$", study.with_name("demi"))
    refused(r"is one run and not a study; pass .*demo$", run.parent)
    refused(r"outputs holds studies and is none; pass .*outputs/NAME$", study.parent)
    (study.with_name("new") / "0123456789ab").mkdir(parents=True)
    refused(r"no record in .*new \(unfinished runs: 1\); python run\.py study=new", study.with_name("new"))
    refused("need 0 < fraction <= 1, got fraction=90", study, fraction=90)
    refused("need split to be test or validation or train, got 'all'", study, split="all")
    refused(r"cannot write to .*json.figures: .*; choose another folder with --out", study, out=run / "figures")


def test_program_ends_in_one_line(study, tmp_path):
    add(study, rank=1)
    done = python("-m", "analysis.rank_curve", study, "--out", tmp_path / "x", "--where", "rank=2")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: no run has rank=2; rank is 1\n")
    assert not (tmp_path / "x").exists()
    assert "python run.py -m method=subspace dim=" in python("-m", "analysis.dim_curve", "--help").stdout


def test_imports_no_torch_and_no_backend():
    code = "import sys, analysis.rank_curve, analysis.dim_curve, analysis.compare; print(*sys.modules)"
    modules = set(python("-c", code).stdout.split())
    assert "analysis.studies.records" in modules
    assert not modules & {"torch", "hydra", "experiments", "intrinsic.training.fit", "matplotlib.pyplot"}
