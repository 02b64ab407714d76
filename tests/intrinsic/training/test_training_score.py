"""The score on the training split: measured once, when a run ends, and drawn by the analysis."""

import json

import pytest
import torch
from torch.nn import functional as F

import intrinsic
from analysis.dim_curve import dim_curve
from intrinsic.errors import UserError
from intrinsic.tasks.task import Split, classification
from intrinsic.training.epoch import Epoch
from intrinsic.training.fit import fit

pytestmark = pytest.mark.usefixtures("surroundings")

SHUFFLED = "-m study=shuffled init=scratch dataset.shuffle_labels=true dataset.fraction=0.1 epochs=40 seed=0,1"


def task():
    """Three splits that differ, so that a score of the wrong one shows."""
    inputs = torch.rand(90, 6, generator=torch.Generator().manual_seed(0))
    targets = (inputs[:, 0] > inputs[:, 1]).long()
    return classification(*(Split(*p) for p in zip(inputs.split(30), targets.split(30), strict=True)), num_outputs=2)


def subspace():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(16, 2))
    return intrinsic.Subspace(model, projection=intrinsic.Fastfood, dim=20, seed=1)


def train(net, lr=0.05, **options):
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    return list(fit(net, task(), optimizer, batch_size=16, seed=0, **options))


def test_it_is_measured_at_the_end_in_evaluation_mode():
    net = subspace()
    epochs = train(net, epochs=3)
    assert [epoch.train is None for epoch in epochs] == [True, True, False]
    data = task().train
    outputs = net.eval()(data.inputs)  # without dropout
    accuracy = (outputs.argmax(1) == data.targets).float().mean().item()
    assert epochs[-1].train == pytest.approx(
        {"loss": F.cross_entropy(outputs, data.targets).item(), "accuracy": accuracy}, rel=1e-5
    )


def test_it_is_measured_where_patience_ends_and_not_after_divergence():
    stopped = train(subspace(), lr=0.0, epochs=9, patience=2)
    assert [epoch.train is None for epoch in stopped] == [True, True, False]
    assert train(subspace(), lr=1e30, epochs=1)[-1].train is None


def test_epochs_of_older_checkpoints_are_read():
    older = {"epoch": 1, "train_loss": 0.5, "validation": {"loss": 0.5}, "test": None, "best": True, "seconds": 1.0}
    assert Epoch(**older).train is None
    assert Epoch(**older).to_dict() == {**older, "train": None}


@pytest.mark.slow
def test_shuffled_labels_are_drawn_and_chosen_by_their_training_score(program, tmp_path):
    status, _, err = program(f"{SHUFFLED} method=subspace dim=3000 lr=0.0001,0.03", tmp_path)
    assert (status, err.count("error")) == (0, 0)
    study = tmp_path / "shuffled"
    records = [json.loads(path.read_text()) for path in study.glob("*/record.json")]
    assert [record["last"]["train"].keys() for record in records] == [{"loss", "accuracy"}] * 4
    (point,) = dim_curve(study, split="train").points.itertuples()
    assert (point.setting, point.tried) == ("lr=0.03", 2)
    best = [r["last"]["train"]["accuracy"] for r in records if r["config"]["lr"] == 0.03]
    assert point.mean == pytest.approx(sum(best) / 2)
    assert point.mean > 0.9  # memorised
    assert dim_curve(study, split="test").points["mean"][0] < 0.3
    with pytest.raises(UserError, match=r"got split='train' with epoch='best': use last$"):
        dim_curve(study, split="train", epoch="best")


def test_records_without_one_are_refused_in_one_line(program, tmp_path):
    program("study=old init=scratch method=subspace dim=10", tmp_path)
    (path,) = tmp_path.glob("old/*/record.json")
    record = json.loads(path.read_text())
    del record["last"]["train"]
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"record\.json has no training score: .*; delete its folder and run it again$"):
        dim_curve(path.parents[1], split="train")
    assert len(dim_curve(path.parents[1]).points) == 1
