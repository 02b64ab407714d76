"""The figure of truncated runs, and studies that lack something."""

import shutil

import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from safetensors.numpy import load_file

from analysis.truncation import truncation
from intrinsic.errors import UserError
from intrinsic.files.records import read_record
from tests.support.commands import assert_one_line
from tests.support.measurements import folders, measure

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("surroundings", "unrendered")]


def test_a_whole_run_has_the_score_of_its_record(study, capsys):
    assert measure("truncate", study) == 0
    for folder in folders(study, "full"):
        found, last = load_file(folder / "truncate.safetensors"), read_record(folder).last
        for name in ("update", "pretrained", "update_random"):
            scores = found[name].reshape(-1, *found[name].shape[-2:])[0]
            assert scores[:, -1].tolist() == [last["validation"]["accuracy"], last["test"]["accuracy"]]
    assert not (folders(study, "lora")[0] / "truncate.safetensors").exists()  # and none of them was reopened
    capsys.readouterr()
    assert measure("truncate", study) == 0
    assert "0 of 2 runs to measure" in capsys.readouterr().err


@pytest.mark.rendered
def test_the_figure(study, tmp_path):
    assert measure("truncate", study) == 0
    drawn = truncation(study, out=tmp_path)
    assert [path.name for path in drawn.paths] == [f"truncation.{suffix}" for suffix in ("png", "pdf", "csv")]
    assert drawn.paths[0].stat().st_size < 200_000
    assert image.imread(drawn.paths[0])[..., :3].std() > 0.05
    csv = pd.read_csv(drawn.paths[2])
    assert csv.groupby("curve")["seed"].nunique()["ΔW cut to rank k"] == 2
    table = drawn.table.set_index("k")
    records = [read_record(folder).score("test") for folder in folders(study, "full")]
    assert table["ΔW cut to k"].iloc[-1] == pytest.approx(np.mean(records))
    lora = {read_record(folder).config["rank"]: read_record(folder) for folder in folders(study, "lora")}
    assert table["LoRA trained at k"].dropna().to_dict() == {k: r.score("test") for k, r in lora.items()}
    assert any("less the update cut to it: between" in line for line in drawn.results)
    assert any("LoRA's head was frozen" in note for note in drawn.notes)
    assert truncation(study, out=tmp_path).paths[0].read_bytes() == drawn.paths[0].read_bytes()


def test_studies_that_lack_something(study, tmp_path, capsys):
    assert measure("truncate", study) == 0
    alone = tmp_path / "alone"
    shutil.copytree(folders(study, "full")[0], alone / folders(study, "full")[0].name)
    drawn = truncation(alone)
    assert any("no run of LoRA to compare with; `python run.py -m rank=1,2,4,8 study=alone`" in n for n in drawn.notes)
    with pytest.raises(
        UserError, match=r"no scores on split=train; `python -m experiments\.truncate .* --splits train`"
    ):
        truncation(alone, split="train")
    with pytest.raises(UserError, match=r"need 0 < fraction <= 1, got fraction=90"):
        truncation(alone, fraction=90)
    (file,) = alone.glob("*/truncate.safetensors")
    with pytest.raises(UserError, match=r"cannot write to .*; choose another folder with --out"):
        truncation(alone, out=file / "figures")
    file.unlink()
    with pytest.raises(UserError, match=r"has truncate\.safetensors; `python -m experiments\.truncate .*alone`"):
        truncation(alone)
    other = tmp_path / "other"
    shutil.copytree(folders(study, "lora")[0], other / "0123456789ab")
    with pytest.raises(UserError, match=r"no run of full has finished in .*; `python run\.py method=full study=other`"):
        truncation(other)
    capsys.readouterr()
    assert measure("truncate", other) == 2
    assert_one_line(capsys.readouterr().err, r"none has finished in .*; `python run\.py method=full study=other` makes")


def test_two_kinds_of_lora_are_two_curves(study, tmp_path):
    assert measure("truncate", study) == 0
    both = tmp_path / "both"
    shutil.copytree(study, both)
    for folder in folders(study, "lora"):
        shutil.copytree(folder, both / folder.name[::-1])
        record = (folder / "record.json").read_text().replace('"alpha": 8.0', '"alpha": 16.0')
        (both / folder.name[::-1] / "record.json").write_text(record.replace(folder.name, folder.name[::-1]))
    drawn = truncation(both)
    named = [f"LoRA trained at rank k, alpha={alpha}" for alpha in (16, 8)]
    assert [curve for curve in drawn.rows["curve"].unique() if curve.startswith("LoRA")] == named
    assert [text.get_text() for text in drawn.figure.legends[0].get_texts()][1:3] == named


def test_cuts_with_different_options_are_not_one_curve(study, tmp_path):
    mixed = tmp_path / "mixed"
    for folder in folders(study, "full"):
        shutil.copytree(folder, mixed / folder.name)
    assert measure("truncate", mixed, "--keep", "all") == 0
    assert measure("truncate", folders(mixed, "full")[0], "--keep", "nothing", "--ranks", 1, 2) == 0
    with pytest.raises(UserError, match=r"different options: \w+ is .*; `python -m experiments\.truncate .*mixed`"):
        truncation(mixed)
