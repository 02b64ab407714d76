"""A study as others get it: the same numbers, nothing of the machine, whole or absent."""

import json
import re
import sys

import pytest

from analysis.compare import compare
from analysis.publication.peft_result import peft_result
from analysis.publication.public_record import public_record
from analysis.publish import main, publish
from analysis.studies.row_of import row_of
from intrinsic.errors import UserError
from intrinsic.files.records import Record
from tests.support.configs import files
from tests.support.hostile_values import PLACES, change
from tests.support.hostile_values import VALUES as ANY
from tests.support.studies import add

LONG = ("error", "method", "config.dataset._target_", "config.model")
VALUES = [value for value in ANY if not isinstance(value, str) or len(value) < 1000]
pytestmark = pytest.mark.usefixtures("unrendered")

HOME = "/home/somebody"
PRIVATE = {
    "output": f"{HOME}/outputs", "data_dir": f"{HOME}/data", "logger": {"entity": "somebody"},
    "model": {"_target_": "intrinsic.models.hf.hf", "name": f"{HOME}/models/bert"}, "environment": {},
}  # fmt: skip


def small(study):
    """Two ranks, two seeds, a baseline, and a run that failed."""
    dataset = {"_target_": "data.Digits", "data_dir": f"{HOME}/data"}
    for seed in (0, 1):
        for rank in (1, 2):
            score = 0.7 + 0.1 * rank + 0.01 * seed
            add(study, rank=rank, seed=seed, test=score, validation=score, dataset=dataset, **PRIVATE)
    add(study, "full", 0.95, dataset=dataset, **PRIVATE)
    failed = add(study, rank=4, status="failed", dataset=dataset, **PRIVATE)
    change(failed, "error", f"cannot write to {HOME}/outputs/x.json: no space")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A study and what was published of it, which no test changes."""
    home = tmp_path_factory.mktemp("outputs")
    small(home / "demo")
    return home / "demo", publish(home / "demo", home / "public" / "demo", licence="cc-by-4.0")


@pytest.mark.slow
def test_the_numbers_are_the_same_and_the_places_gone(published):
    study, folder = published
    runs = sorted(study.glob("*/record.json"))
    assert [path.parent.name for path in sorted(folder.glob("*/record.json"))] == [path.parent.name for path in runs]
    for path in runs:
        told, record = (json.loads((home / path.parent.name / "record.json").read_text()) for home in (folder, study))
        for name in ("run_id", "study", "status", "method", "last", "best"):
            assert told.get(name) == record[name]
        if record["status"] == "finished":
            assert (told["numbers"], told["metric"], told["seconds"]) == (record["numbers"], record["metric"], 1.5)
        assert told["config"]["model"]["name"] == "bert"
        kept = ("seed", "lr", "epochs", "method", "optim")
        assert {name: told["config"][name] for name in kept} == {name: record["config"][name] for name in kept}
        assert told["error"] in (None, "cannot write to x.json: no space")
    for path, content in files(folder).items():
        assert b"somebody" not in content, path
        assert str(study.parent).encode() not in content, path


@pytest.mark.slow
def test_it_is_compared_like_the_study(published, tmp_path):
    study, folder = published
    drawn = [compare(home, out=tmp_path / str(number)).paths[2].read_bytes() for number, home in enumerate(published)]
    assert drawn[0].replace(b"/home/somebody/outputs/", b"") == drawn[1]
    assert drawn[1] == (folder / "figures" / "compare.csv").read_bytes()
    both = compare(study, folder, out=tmp_path / "both")
    assert both.notes[0].startswith("6 of the runs are in several studies")


@pytest.mark.slow
def test_the_card_is_one_of_the_hub(published):
    hub = pytest.importorskip("huggingface_hub", reason="pip install -e '.[text]'")
    card = hub.ModelCard.load(published[1] / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.metrics == ["accuracy"]
    scores = {each.metric_name: each.metric_value for each in card.data.eval_results}
    assert scores == {
        "test accuracy, full, 101,770 parameters": 0.95,
        "test accuracy, lora, 896 parameters": pytest.approx(0.905),
    }
    assert "| lora | 896 | lr=0.01 | 2 | 0.9050 | 0.9050 |" in card.text
    for image in re.findall(r"!\[\w+\]\((.*?)\)", card.text):
        assert (published[1] / image).is_file()


@pytest.mark.slow
def test_results_have_pefts_form(published, tmp_path):
    study, folder = published
    results = sorted((folder / "results").glob("*.json"))
    assert len(results) == 5
    for path in results:
        result = json.loads(path.read_text())
        record = json.loads((study / path.stem / "record.json").read_text())
        assert result["train_info"]["num_trainable_params"] == record["numbers"]["trained"]
        assert result["train_info"]["metrics"][-1]["test accuracy"] == record["last"]["test"]["accuracy"]
        assert (result["run_info"]["peft_config"] is None) == (record["method"] == "full")
    points = compare(study, folder / "results", out=tmp_path).points.set_index(["curve", "x"])["mean"]
    assert points["LORA (PEFT)", 448] == points["lora", 448]
    assert points["full-finetuning (PEFT)", 101770] == 0.95


@pytest.mark.slow
def test_ours_is_replaced_and_anything_else_refused(tmp_path, published):
    study, folder = tmp_path / "demo", tmp_path / "public"
    add(study, "full", 0.9)
    publish(study, folder)
    assert "license" not in (folder / "README.md").read_text()
    add(study, "full", 0.8, seed=1)
    publish(study, folder)
    assert len(list(folder.glob("*/record.json"))) == 2
    before = files(folder)
    for name, text, rule in (
        ("mine.txt", "", "it has mine.txt; move that away, or give the name of a new folder"),
        ("README.md", "edited", "its README.md was edited"),
        ("published.json", "[", "published.json cannot be read"),
        ("published.json", "[]", "published.json lists no files"),
    ):
        (folder / name).write_text(text)
        with pytest.raises(UserError, match=rule):
            publish(study, folder)
        (folder / name).unlink()
        assert files(folder) == {path: content for path, content in before.items() if path.name != name}
        if folder / name in before:
            (folder / name).write_bytes(before[folder / name])
    for other in (study, study.parent):
        with pytest.raises(UserError, match=r"is there, and not by analysis.publish alone: give the name of a new"):
            publish(study, other)


@pytest.mark.slow
def test_what_is_stopped_leaves_what_was_there(tmp_path, monkeypatch):
    study, folder = tmp_path / "demo", tmp_path / "public"
    add(study, "full", 0.9)

    def stop(*args):
        raise KeyboardInterrupt("now")

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["analysis.publish"], "card", stop)
        with pytest.raises(KeyboardInterrupt, match="now"):
            publish(study, folder)
        assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    publish(study, folder)
    before = files(folder)
    monkeypatch.setattr(sys.modules["analysis.publish"], "html", stop)
    with pytest.raises(KeyboardInterrupt, match="now"):
        publish(study, folder)
    assert files(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo", "public"]


def test_mistakes_end_in_one_line(study, tmp_path, capsys, monkeypatch):
    add(study, "full", 0.9)
    for arguments, rule in (
        ([study.with_name("demi"), tmp_path / "x"], "no study folder .*demi; the nearest is"),
        ([study, tmp_path / "x", "--licence", "all mine"], "need --licence as an identifier of the Hub"),
    ):
        monkeypatch.setattr(sys, "argv", ["publish", *map(str, arguments)])
        with pytest.raises(SystemExit, match="2"):
            main()
        assert re.fullmatch(f"error: .*{rule}.*\n", capsys.readouterr().err)
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_any_record_that_is_drawn_can_be_written(study):
    file = add(study, rank=1, history=[])
    whole = file.read_text()
    for place in [*PLACES, "history", "config.model", "config.schedule", "config.tokenizer", "environment.device"]:
        for value in ["x" * 1_000_000 if place in LONG else "x", *VALUES]:
            file.write_text(whole)
            change(file, place, value)
            try:
                row_of(file, "test", "last")
            except UserError:
                continue
            json.dumps(peft_result(Record.of(public_record(file.parent))))
        file.write_text(whole)
