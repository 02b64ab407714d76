"""The figure of a loss landscape, and studies that lack something."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import image
from safetensors.numpy import load_file
from safetensors.torch import save_file

from analysis.landscape import landscape as figure
from experiments.finished.reopen import reopen
from experiments.finished.subset import subset
from intrinsic.errors import UserError
from intrinsic.training.evaluate import evaluate
from tests.support.measurements import folders, measure

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("surroundings", "unrendered")]


@pytest.fixture(scope="session")
def measured(study):
    """The study with its landscapes, which no test changes."""
    assert measure("landscape", study, "--points", 5, "--examples", 100) == 0
    return study


@pytest.mark.rendered
def test_the_figure_of_a_study(measured, tmp_path):
    for method in ("full", "lora", "subspace", "head"):
        found = load_file(folders(measured, method)[0] / "landscape.safetensors")
        run = reopen(folders(measured, method)[0])
        expected = evaluate(run.net, run.task, subset(run.task.train, 100, 0))
        assert found["solution/loss"][2, 2] == expected["loss"]
        assert found["line/score"][list(found["line/at"]).index(1)] == expected["accuracy"]
    assert not (folders(measured, "full")[1] / "landscape.safetensors").exists()  # one seed of each setting
    drawn = figure(measured, out=tmp_path)
    assert [path.name for path in drawn.paths] == [f"landscape.{suffix}" for suffix in ("png", "pdf", "csv")]
    assert drawn.paths[0].stat().st_size < 200_000
    assert image.imread(drawn.paths[0])[..., :3].std() > 0.05
    assert len(drawn.table) == len(drawn.results) == 3
    assert set(drawn.table["run"]) <= {"full", "head", "lora, rank 1", "lora, rank 2", "subspace (fastfood), dim 20"}
    csv = pd.read_csv(drawn.paths[2])
    assert csv.groupby(["run", "panel"]).size().unique().tolist() == [7, 25]
    assert any(note.startswith("measured but not drawn: ") for note in drawn.notes)
    assert list(figure(measured, out=tmp_path, where=["method=lora"]).table["run"]) == ["lora, rank 2", "lora, rank 1"]


@pytest.mark.rendered
def test_points_that_diverged(measured, tmp_path):
    """Infinite and NaN losses are grey and counted, also where nothing else is left."""
    source = folders(measured, "full")[0]
    shutil.copytree(source, tmp_path / "odd" / source.name)
    file = tmp_path / "odd" / source.name / "landscape.safetensors"
    header = safe_header(file)
    arrays = {name: torch.from_numpy(value) for name, value in load_file(file).items()}
    arrays["start/loss"][0, :3] = torch.tensor([float("inf"), float("nan"), -float("inf")])
    arrays["line/loss"][:2] = float("nan")
    save_file(arrays, file, header)
    drawn = figure(tmp_path / "odd")
    assert "the loss is not finite at 5 of 57 points: grey" in drawn.notes
    assert "not finite everywhere between" in drawn.results[0]
    greys = np.isclose(image.imread(drawn.paths[0])[..., :3], 0xBB / 255, atol=0.01).all(-1).sum()
    assert greys > 200  # pixels
    save_file(
        {name: t if name in ("axis", "line/at") else t * float("nan") for name, t in arrays.items()}, file, header
    )
    drawn = figure(tmp_path / "odd")
    assert "the loss is not finite at 57 of 57 points: grey" in drawn.notes


def safe_header(file):
    from safetensors import safe_open

    with safe_open(file, "numpy") as opened:
        return opened.metadata()


def test_studies_that_lack_something(measured, tmp_path):
    first = folders(measured, "full")[0]
    shutil.copytree(first, tmp_path / "new" / first.name)
    lora = folders(measured, "lora")[0]
    shutil.copytree(lora, tmp_path / "new" / lora.name)
    (tmp_path / "new" / lora.name / "landscape.safetensors").unlink()
    drawn = figure(tmp_path / "new")
    assert any("not measured: lora, rank" in n and "`python -m experiments.landscape" in n for n in drawn.notes)
    assert measure("landscape", tmp_path / "new" / lora.name, "--points", 3) == 0
    with pytest.raises(UserError, match=r"different options: points is \d and \d; `python -m experiments\.landscape"):
        figure(tmp_path / "new")
    with pytest.raises(UserError, match=r"need most >= 1, got most=0"):
        figure(measured, most=0)
    with pytest.raises(UserError, match=r"cannot write to .*; choose another folder with --out"):
        figure(measured, out=first / "record.json" / "figures")
    (tmp_path / "new" / first.name / "landscape.safetensors").unlink()
    (tmp_path / "new" / lora.name / "landscape.safetensors").unlink()
    with pytest.raises(UserError, match=r"has landscape\.safetensors; `python -m experiments\.landscape .*new`"):
        figure(tmp_path / "new")
