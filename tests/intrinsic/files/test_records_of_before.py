"""Runs and files that were written before modules moved: they are read, and mean what they meant."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

import intrinsic
from analysis.studies.records import load_records
from experiments.config.build import build
from experiments.finished.reopen import reopen
from intrinsic.files.records import read_record, write_record
from intrinsic.files.run_id import run_id
from intrinsic.training.evaluate import evaluate
from intrinsic.training.linear_warmup import LinearWarmup
from tests.support.configs import composed

BEFORE = Path(__file__).parent / "before_the_move"
ANSWERS = json.loads((BEFORE / "answers.json").read_text())
RUNS = sorted(path.name for path in (BEFORE / "runs").iterdir())
SCORES = {
    "33612fca9d95": 0.12534818941504178,
    "55eeeea5a5f2": 0.10306406685236769,
    "64da2c1d2fbb": 0.1977715877437326,
    "67f3a8ed37c4": 0.11977715877437325,
    "69588cbd9944": 0.27019498607242337,
    "f77206db5949": 0.08635097493036212,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs") / "runs"
    shutil.copytree(BEFORE / "runs", folder)
    shutil.copytree(BEFORE / "pretrained", folder.parent / ".pretrained")  # theta_0: another machine's has other bits
    return folder


@pytest.mark.parametrize("run", RUNS)
def test_a_run_keeps_its_id_and_opens(run, study):
    record = read_record(study / run)
    assert run_id(record.config) == run
    again = reopen(study / run)
    found = evaluate(again.net, again.task, again.task.test)
    assert found["accuracy"] == pytest.approx(SCORES[run], abs=2e-3)  # one of 359 images: another machine's rounding
    assert found["loss"] == pytest.approx(record.score("test", "loss"), rel=1e-4)


@pytest.mark.parametrize("run", RUNS)
def test_a_record_is_written_as_it_was(run, study, tmp_path, monkeypatch):
    monkeypatch.setattr("intrinsic.files.records.renamed", lambda config: config)
    write_record(tmp_path, read_record(study / run))
    assert (tmp_path / "record.json").read_bytes() == (study / run / "record.json").read_bytes()


def test_what_was_renamed_is_read_under_its_new_name(study):
    schedule = read_record(study / "f77206db5949").config["schedule"]
    assert schedule["_target_"] == "intrinsic.training.linear_warmup.LinearWarmup"


def test_the_analysis_reads_it_under_its_new_name(study):
    frame, _ = load_records([study], runs=["f77206db5949"])
    assert frame["config"].iloc[0]["schedule._target_"] == "intrinsic.training.linear_warmup.LinearWarmup"


def test_a_config_may_name_what_was_renamed():
    config = composed("schedule=warmup", "schedule._target_=intrinsic.linear_warmup.LinearWarmup")
    assert run_id(config) == run_id(composed("schedule=warmup"))
    assert build(config["schedule"], "schedule").func is LinearWarmup


def test_a_record_nested_deep_is_read(study, tmp_path):
    record = json.loads((study / RUNS[0] / "record.json").read_text()) | {"config": {"a": 0}}
    nested = json.dumps(record).replace('{"a": 0}', '{"a": ' * 600 + "0" + "}" * 600)
    (tmp_path / "record.json").write_text(nested)
    assert "a" in read_record(tmp_path).config


def test_the_analysis_reads_them(study):
    found = {}
    for run in RUNS:
        frame, notes = load_records([study], runs=[run])
        assert notes == []
        found |= dict(zip(frame["run_id"], frame["score"], strict=True))
    assert found == SCORES


def model():
    """Weights by a formula."""
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.sin(torch.arange(parameter.numel(), dtype=torch.float32)).view_as(parameter) / 2)
    return net


INPUTS = torch.linspace(-1, 1, 24).view(4, 6)


@pytest.mark.parametrize("name", ["subspace", "lora", "union"])
def test_saved_nets_answer_as_before(name):
    net = intrinsic.load(model(), BEFORE / f"{name}.safetensors").eval()
    torch.testing.assert_close(net(INPUTS), torch.tensor(ANSWERS[name]), rtol=1e-5, atol=1e-6)


def test_a_folder_of_peft_answers_as_before():
    net = intrinsic.load_peft(model(), BEFORE / "peft").eval()
    torch.testing.assert_close(net(INPUTS), torch.tensor(ANSWERS["lora"]), rtol=1e-5, atol=1e-6)
