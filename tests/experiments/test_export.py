"""Trained runs as folders of transformers."""

import re

import pytest
import torch

from analysis.threshold import threshold
from experiments.export import export, main
from experiments.finished.export_lora import export_lora
from experiments.finished.reopen import reopen
from experiments.run.train import train
from intrinsic.errors import UserError
from intrinsic.models.hf_lm import hf_lm
from intrinsic.models.hf_tokenizer import HFTokenizer
from tests.support.commands import assert_one_line
from tests.support.configs import composed
from tests.support.measurements import measure
from tests.support.tiny import build as build_classifier
from tests.support.tiny import write_sst2
from tests.support.tiny_language import MODEL, write_text

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("surroundings")]

pytest.importorskip("transformers")


@pytest.fixture
def trained(language_folders, tmp_path):
    """Trains a tiny language model; returns the folder of the run."""
    corpus = write_text(tmp_path / "corpus.txt")

    def run(kind, method, *more):
        overrides = (f"method={method}", "model=hf_lm", f"model.name={language_folders[kind]}", "dataset=text")
        place = (f"dataset.file={corpus}", f"data_dir={tmp_path}", f"output={tmp_path}", "epochs=1", "lr=0.01")
        train(composed(*overrides, *place, *more), tmp_path / "run")
        return tmp_path / "run"

    return run


@pytest.mark.parametrize(
    ("kind", "method"), [("bert", "full"), ("bert", "lora"), ("gpt2", "lora"), ("gpt2", "subspace"), ("llama", "said")]
)
def test_the_folder_has_the_logits_of_the_run(kind, method, trained, tmp_path):
    run = trained(kind, method)
    folder = export(run, tmp_path / "made" / "folder")
    opened = reopen(run)
    models = (hf_lm((2, 8), 18, name=str(folder), **MODEL), opened.net.merge(), opened.net, opened.start)
    with torch.no_grad():
        again, merged, net, start = (model.eval()(opened.task.test.inputs) for model in models)
    torch.testing.assert_close(again, merged, atol=0, rtol=0)
    torch.testing.assert_close(again, net, atol=1e-5, rtol=1e-5)  # (W + B A) x and W x + B (A x) differ in rounding
    assert not torch.allclose(again, start, atol=1e-4)
    before = opened.record.config["model"]["name"]
    tokenizers = [HFTokenizer(name=name, max_length=16) for name in (str(folder), before)]
    assert len({tokenizer.fingerprint for tokenizer in tokenizers}) == 1
    assert not list(folder.parent.glob(".partial*"))


def test_a_classifier_starts_from_a_language_model(trained, tmp_path):
    run = trained("bert", "full", "init=random")
    folder = export(run, tmp_path / "folder")
    classifier = dict(build_classifier(folder).named_parameters())
    learned = reopen(run).net.eval().merge()
    for name, parameter in learned.bert.named_parameters():
        assert torch.equal(classifier[f"bert.{name}"], parameter)


def test_a_classifier_is_exported_with_its_head(folders, tmp_path):
    data = write_sst2(tmp_path / "data")
    config = composed(
        "model=hf",
        f"model.name={folders['bert']}",
        "dataset=sst2",
        f"data_dir={data}",
        "epochs=1",
        f"output={tmp_path}",
    )
    train(config, tmp_path / "run")
    folder = export(tmp_path / "run", tmp_path / "folder")
    opened = reopen(tmp_path / "run")
    inputs = opened.task.test.inputs
    with torch.no_grad():
        again = build_classifier(folder, classifier="folder").eval()(inputs)
        torch.testing.assert_close(again, opened.net.eval().merge()(inputs), atol=0, rtol=0)


def test_an_export_that_knows_the_task_has_a_d90_of_zero(folders, tmp_path):
    """Trained on it again from there: the target of 90 % lies below the start, before any training."""
    data, study = write_sst2(tmp_path / "data"), tmp_path / "outputs" / "again"
    place = ("model=hf", "dataset=sst2", f"data_dir={data}", f"output={tmp_path}")
    train(composed(*place, f"model.name={folders['bert']}", "method=full", "epochs=10", "lr=0.01"), tmp_path / "tuned")
    start = (*place, f"model.name={export(tmp_path / 'tuned', tmp_path / 'folder')}", "model.classifier=folder")
    for name, method in (("full", ["method=full"]), *((f"d{d}", ["method=subspace", f"dim={d}"]) for d in (2, 4, 8))):
        train(composed(*start, *method, "epochs=1", "lr=0.0001"), study / name)
    found = threshold(study).results
    assert found[0].startswith("subspace (fastfood): d90 = 0 (the start is above the target: ")
    assert found[1] == "on validation data, subspace (fastfood): d90 = 0"


# Mistakes


def test_what_cannot_be_exported(trained, program, tmp_path):
    run = trained("gpt2", "prefix")
    with pytest.raises(UserError, match=r"method=prefix adds .*Prefix.*, which transformers cannot hold: .* as lora"):
        export(run, tmp_path / "folder")
    with pytest.raises(UserError, match=r"run is there already: need the name of a new folder"):
        export(run, run)
    with pytest.raises(UserError, match=r"nowhere is not a finished run"):
        export(tmp_path / "nowhere", tmp_path / "folder")
    assert program("study=plain init=scratch", tmp_path)[0] == 0
    (plain,) = (tmp_path / "plain").glob("*/record.json")
    with pytest.raises(UserError, match=r"trained intrinsic.models.mlp.MLP: need model=hf or a sibling of it"):
        export(plain.parent, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_the_command(trained, tmp_path, capsys):
    run = trained("bert", "lora")
    assert measure("export", run, tmp_path / "folder") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'folder'}\n"
    assert (tmp_path / "folder" / "model.safetensors").is_file()
    assert measure("export", run, tmp_path / "folder") == 2
    assert_one_line(capsys.readouterr().err, "is there already")


@pytest.mark.parametrize("method", ["subspace", "lora"])
def test_any_run_as_lora(method, trained, tmp_path, capsys, monkeypatch):
    """What PEFT reads computes what was trained, up to what the rank leaves, which is printed."""
    peft = pytest.importorskip("peft")
    run = trained("gpt2", method)
    monkeypatch.setattr("sys.argv", ["export", str(run), str(tmp_path / "folder"), "--lora-rank", "16"])
    main()
    said = capsys.readouterr().out
    opened = reopen(run)
    assert re.search(r"rank 16 of \d+ matrices: relative error \S+ of their change \(Frobenius\), at most", said)
    assert re.search(r"validation accuracy 0\.\d{4} → 0\.\d{4}", said)
    theirs = peft.PeftModel.from_pretrained(opened.plain()[0], tmp_path / "folder").eval()
    with torch.no_grad():
        again, net = theirs(opened.task.test.inputs), opened.net.eval()(opened.task.test.inputs)
    if method == "lora":  # of rank 4; biases and norms are as they were
        torch.testing.assert_close(again, net, atol=1e-4, rtol=1e-4)
    else:
        assert "not held: " in said
    with pytest.raises(UserError, match="is there already: need the name of a new folder"):
        export_lora(run, tmp_path / "folder", 4)


def test_a_prompt_is_no_lora(trained, tmp_path):
    with pytest.raises(UserError, match="method=prompt adds GatedPrefix, which LoRA cannot hold: need a method that"):
        export_lora(trained("gpt2", "prompt", "length=2"), tmp_path / "folder", 4)
