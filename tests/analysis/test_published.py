"""What was measured beside what was published: made-up records of the studies' own configs."""

import json
import zlib

import pandas as pd
import pytest
from matplotlib import image

from analysis.published import published
from analysis.references.literature import GRID, PUBLISHED
from intrinsic.errors import UserError
from intrinsic.models.atari import Atari
from intrinsic.models.fc_lenet import FCLeNet
from intrinsic.models.lenet import LeNet
from intrinsic.models.mlp import MLP
from intrinsic.models.untied_lenet import UntiedLeNet
from tests.support.configs import CONF, composed
from tests.support.studies import python

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]

BY_TASK = {task.task: task for task in PUBLISHED}
EPISODES = {  # shapes of observations, and actions
    "cartpole": ((4,), 2), "cartpole_dqn": ((4,), 2), "pendulum": ((4,), 1), "humanoid": ((376,), 17),
    "pong": ((4, 84, 84), 6),
}  # fmt: skip
WITH_FILE = {path.stem for path in (CONF / "experiment" / "li2018").glob("*.yaml")}


def add(study, config, score, status="finished"):
    """A record as `write_result` leaves it, of a run of this config."""
    trained = config.get("dim", 199_210)
    scores = {split: {"loss": 0.1, "accuracy": score} for split in ("validation", "test", "train")}
    record = {"format": 1, "run_id": f"{zlib.crc32(json.dumps(config).encode()):012x}", "study": study.name,
              "status": status, "method": config["method"], "metric": "accuracy", "numbers": {"trained": trained},
              "config": config, "error": None, "last": {"epoch": 10, **scores},
              "best": {"epoch": 10, **scores}}  # fmt: skip
    (study / record["run_id"]).mkdir(parents=True)
    (study / record["run_id"] / "record.json").write_text(json.dumps(record))


def fill(study, name, curve, *overrides, full=None):
    """Runs of an experiment: two seeds at each d, and two baselines."""
    config = composed(f"experiment=li2018/{name}", *overrides)
    for seed in (0, 1):
        for dim, score in curve.items():
            own = {"dim": dim, "seed": seed, "subspace": {**config["subspace"], "dim": dim}}
            add(study, config | own, score + 0.002 * seed)
    if full is not None:
        baseline = composed(f"experiment=li2018/{name}", "method=full", *overrides)
        for seed in (0, 1):
            add(study, baseline | {"seed": seed}, full)


def means(task):
    return {dim: sum(scores) / 2 for dim, scores in BY_TASK[task].curve.items()}


def cell(comparison, task, kind, column):
    return comparison.table.set_index(["task", "baseline"]).loc[(task, kind), column]


@pytest.mark.rendered
def test_the_published_curve_gives_the_published_thresholds(tmp_path):
    """Between the tried d below the published one and itself: their d90 is the first that passes."""
    fill(tmp_path / "mnist_fc", "mnist_fc", means("mnist_fc"), full=0.981)
    fill(tmp_path / "mnist_lenet", "mnist_lenet", means("mnist_lenet"), full=0.991)
    found = published(tmp_path / "mnist_fc", tmp_path / "mnist_lenet")
    values = {}
    for task in ("mnist_fc", "mnist_lenet"):
        for kind in ("individual", "global"):
            text = cell(found, task, kind, "measured")
            assert text.startswith("d90 = "), text
            values[task, kind] = float(text.split()[2])
    assert 500 < values["mnist_fc", "individual"] <= 750
    assert values["mnist_fc", "individual"] < values["mnist_fc", "global"] <= 1000
    assert 200 < values["mnist_lenet", "individual"] <= values["mnist_lenet", "global"] <= 290
    assert cell(found, "mnist_fc", "individual", "published") == 625
    assert cell(found, "mnist_fc", "global", "published") == 850
    assert cell(found, "mnist_fc", "individual", "full") == "0.981"
    assert len(found.paths) == 6
    for path in found.paths:
        assert path.parent == tmp_path / "mnist_fc" / "figures"
        assert path.stat().st_size > 0
    assert image.imread(found.paths[0])[..., :3].std() > 0.05
    (axes,) = found.figures["mnist_fc"].axes
    drawn = {line.get_label(): line for line in axes.lines}
    assert list(drawn["published"].get_xdata()) == list(BY_TASK["mnist_fc"].curve)
    assert list(drawn["published"].get_ydata()) == pytest.approx(list(means("mnist_fc").values()))
    assert pd.read_csv(found.paths[2])["score"].count() == 2 * 7 + 2


def test_shuffled_labels_are_compared_by_training_accuracy(tmp_path):
    fill(tmp_path / "s", "mnist_fc_shuffled_labels", means("mnist_fc_shuffled_labels"), full=0.994)
    found = published(tmp_path / "s")
    assert cell(found, "mnist_fc_shuffled_labels", "global", "measured").startswith("d89 = ")
    assert found.figures["mnist_fc_shuffled_labels"].axes[0].get_ylabel() == "train accuracy"


def test_returns_are_compared_as_returns(tmp_path):
    """Of two learners on one environment; a curve that is the published one has its d90."""
    fill(tmp_path / "s", "cartpole_dqn", means("cartpole_dqn"), full=195.0)
    fill(tmp_path / "s", "cartpole", {5: 60.0, 10: 190.0, 20: 200.0}, full=200.0)
    found = published(tmp_path / "s")
    assert list(found.table["task"].unique()) == ["cartpole", "cartpole_dqn"]
    measured = cell(found, "cartpole_dqn", "individual", "measured")
    assert 20 < float(measured.split()[2]) < 30, measured
    assert cell(found, "cartpole_dqn", "individual", "full") == "195"
    assert cell(found, "cartpole_dqn", "individual", "published full") == "195"
    assert cell(found, "cartpole_dqn", "individual", "stated") == 25
    assert cell(found, "cartpole", "individual", "stated") == 25


def test_a_grid_is_taken_apart_and_other_runs_are_left_out(tmp_path):
    curve = {300: 0.8, 600: 0.89, 1200: 0.93}
    for width, depth in ((50, 1), (400, 5)):
        overrides = [f"model.width={width}", f"model.depth={depth}", "projection=sparse"]
        fill(tmp_path / "grid", "mnist_fc_grid", curve, *overrides)
    fill(tmp_path / "grid", "mnist_fc_grid", curve, "model.width=77")
    fill(tmp_path / "grid", "origin", curve)
    found = published(tmp_path / "grid")
    assert list(found.table["task"].unique()) == ["mnist_fc_50x1", "mnist_fc_400x5"]
    assert found.notes == ["runs of no published task left out: 12"]
    assert cell(found, "mnist_fc_50x1", "individual", "measured") == "no run of full"
    assert cell(found, "mnist_fc_400x5", "global", "published") == 675


@pytest.mark.rendered
def test_too_few_dims_are_said_and_drawn(tmp_path):
    fill(tmp_path / "s", "mnist_lenet_untied", {100: 0.6, 300: 0.8}, full=0.98)
    found = published(tmp_path / "s")
    assert set(found.table["measured"]) == {"2 of 3 dims"}
    assert "mnist_lenet_untied" in found.figures


def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path):
    fill(tmp_path / "s", "origin", {300: 0.8})
    with pytest.raises(UserError, match=r"^no run in .*s is of a published task: see experiment=li2018/"):
        published(tmp_path / "s")
    with pytest.raises(UserError, match="need at least one study, got none"):
        published()
    fill(tmp_path / "mixed", "mnist_fc", {300: 0.8}, full=0.98)
    fill(tmp_path / "mixed", "mnist_fc", {750: 0.9}, "protocol=published")
    with pytest.raises(UserError, match=r"the runs are of different tasks: schedule\._target_"):
        published(tmp_path / "mixed")
    where = ["epochs=10"]
    assert list(published(tmp_path / "mixed", where=where).table["runs"]) == [2, 2]
    done = python("-m", "analysis.published", tmp_path / "s")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("task", PUBLISHED, ids=lambda task: task.task)
def test_a_published_task_is_one_task_of_the_published_size(task):
    others = [other for other in PUBLISHED if other.task != task.task]
    assert all(other.match != task.match for other in others)
    nets = {"MLP": MLP, "LeNet": LeNet, "UntiedLeNet": UntiedLeNet, "FCLeNet": FCLeNet, "Atari": Atari}
    net = nets[str(task.match["model._target_"]).rpartition(".")[2]]
    shape, outputs = EPISODES.get(task.task, ((3, 32, 32) if "cifar" in task.task else (1, 28, 28), 10))
    sizes = {key: task.match[f"model.{key}"] for key in ("depth", "width") if f"model.{key}" in task.match}
    model = net(shape, outputs, **sizes, **({"dropout": 0.0} if net is MLP else {}))
    assert sum(p.numel() for p in model.parameters()) == task.full_dim
    assert list(task.curve) == sorted(task.curve)
    for low, high in (*task.curve.values(), *([task.full] if task.full else [])):
        assert 0 < low <= high < (task.ceiling if task.task in EPISODES else 1)


def test_every_published_task_has_its_experiment():
    named = {task.task for task in PUBLISHED}
    grid = {f"mnist_fc_{width}x{depth}" for width in GRID for depth in range(1, 6)} - {"mnist_fc_200x2"}
    parts = {"mnist_fc_shuffled_labels_50", "mnist_fc_shuffled_labels_10"}  # of the data: dataset.fraction
    assert named - grid - parts <= WITH_FILE
    for name in sorted(named - grid - parts):
        flat = composed(f"experiment=li2018/{name}")
        for key, value in BY_TASK[name].match.items():
            node = flat
            for part in key.split("."):
                node = node[part]
            assert node == value, (name, key)
