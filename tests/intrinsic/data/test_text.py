"""Plain text from files, and runs of language models on it."""

import json

import pytest
import torch

from experiments.run.setup import Setup
from intrinsic.data.text import text
from intrinsic.errors import UserError
from tests.support.configs import composed
from tests.support.stopped_run import check_going_on
from tests.support.tiny import make_folder
from tests.support.tiny_language import write_text

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("surroundings")]


@pytest.fixture
def corpus(tmp_path):
    return write_text(tmp_path / "corpus.txt")


def of(file, fraction=1.0, seed=0):
    task = text(file=file, fraction=fraction, seed=seed)
    splits = (task.train, task.validation, task.test)
    return [[task.texts[i][0] for i in split.inputs] for split in splits]


def test_lines_are_texts(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_bytes("\ufeffone\r\n\n  two\u2028still two  \n \t\nthree\nzwölf".encode())
    second.write_text("two\nthree\nfour\n", encoding="utf-8")
    found = [line for split in of([str(first), second]) for line in split]
    assert sorted(found) == sorted(["one", "two\u2028still two", "three", "zwölf", "two", "four"])  # "three" once


def test_splits(corpus):
    lines = corpus.read_text().splitlines()
    train, validation, test = of(corpus)
    assert [len(train), len(validation), len(test)] == [48, 6, 6]
    assert {*train, *validation, *test} == set(lines)
    assert of(corpus) == [train, validation, test]
    assert of(corpus, seed=1)[2] != test
    half = of(corpus, fraction=0.5)
    assert half[1:] == [validation, test]
    assert len(half[0]) == 24
    assert set(half[0]) < set(train)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, r"absent.txt: cannot be read \(No such file or directory\): need dataset.file=<a text file>"),
        (b"", r"some.txt has no text: need one on each line"),
        (b" \n\t\n", r"some.txt has no text: need one on each line"),
        (b"fine\n\xff\xfe\n", r"some.txt: is not UTF-8 \(invalid start byte at byte 5\): save it as UTF-8"),
        (b"one\ntwo\none\n", r"need 3 different lines or more, for three splits, got 2 in file=.*: add some"),
    ],
)
def test_bad_files(tmp_path, content, match):
    path = tmp_path / ("absent.txt" if content is None else "some.txt")
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=match):
        text(file=str(path), fraction=1.0, seed=0)


@pytest.mark.parametrize("file", [None, "", [], [""], 3, ["a", None]])
def test_no_file(file):
    with pytest.raises(UserError, match=r"need dataset.file as a text file or a list of them, got file="):
        text(file=file, fraction=1.0, seed=0)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read \(not a regular file\): need dataset.file=<a text file>"):
        text(file=tmp_path, fraction=1.0, seed=0)


# Runs


@pytest.mark.parametrize(("kind", "method"), [("bert", "full"), ("gpt2", "lora"), ("llama", "subspace")])
def test_a_run_that_was_stopped_goes_on_with_the_same_bits(
    kind, method, language_folders, corpus, tmp_path, monkeypatch
):
    """Training masks are drawn anew in each epoch, as dropout is, and as if never stopped."""
    config = composed(
        f"method={method}", "model=hf_lm", f"model.name={language_folders[kind]}", "dataset=text",
        f"dataset.file={corpus}", f"data_dir={tmp_path}", "epochs=4", "batch_size=5", "lr=0.01",
        "checkpoint_seconds=0", f"output={tmp_path}",
    )  # fmt: skip
    whole = check_going_on(config, tmp_path)
    assert {"loss", "accuracy", "perplexity"} == set(whole.last["test"])


def test_a_sweep_over_ranks(program, language_folders, corpus, tmp_path):
    status, out, err = program(
        f"-m study=lm model=hf_lm init=hub model.name={language_folders['gpt2']} dataset=text dataset.file={corpus} "
        f"data_dir={tmp_path} rank=1,2 lr=0.01",
        tmp_path,
    )
    assert status == 0, err
    records = [json.loads(path.read_text()) for path in (tmp_path / "lm").glob("*/record.json")]
    assert sorted(record["config"]["rank"] for record in records) == [1, 2]
    assert all(record["numbers"]["head"] == 0 for record in records)  # frozen, as it is pretrained
    assert "test accuracy" in out


def test_the_config_says_what_is_learned(language_folders, corpus, tmp_path):
    def task(kind, *more):
        return Setup(
            composed("model=hf_lm", f"model.name={language_folders[kind]}", "dataset=text",
                     f"dataset.file={corpus}", f"data_dir={tmp_path}", *more)
        ).task  # fmt: skip

    assert task("gpt2").noise is None
    assert task("bert").noise is not None
    assert task("bert", "model.objective=causal").noise is None
    other = task("bert", "dataset.seed=1"), task("bert", "seed=1")
    assert torch.equal(other[1].test.inputs, task("bert").test.inputs)
    assert not torch.equal(other[0].test.targets, task("bert").test.targets)


@pytest.mark.parametrize(
    ("command", "match"),
    [
        ("model=hf_lm init=hub", r"hf_lm reads text, the dataset has inputs \(1, 8, 8\): use dataset=text"),
        ("model=hf_lm init=hub dataset=text", r"need dataset.file as a text file or a list of them, got file=None"),
        ("model=hf_lm init=hub dataset=text dataset.file=CORPUS", "need model.name as a folder or a hub id"),
        ("model=mlp init=scratch dataset=text dataset.file=CORPUS", "MLP reads no text: .* or another dataset"),
        ("model=hf init=hub model.name=BERT dataset=text dataset.file=CORPUS",
         "hf.hf classifies, dataset=text has no labels: use model=hf_lm, or dataset=sst2"),
        ("model=hf_lm init=hub model.name=T5 dataset=text dataset.file=CORPUS",
         "model=hf_lm reads decoders and encoders, got the encoder-decoder t5"),
        ("model=hf_lm init=hub model.name=BERT dataset=text dataset.file=CORPUS model.objective=next",
         "need model.objective=causal, masked or null, got objective='next'"),
        ("model=hf_lm init=hub model.name=BERT dataset=text dataset.file=absent.txt", "absent.txt: cannot be read"),
        ("model=hf_lm init=hub dataset=text dataset.fraction=2", "need 0 < fraction <= 1, got fraction=2"),
    ],
)  # fmt: skip
def test_bad_commands(refused, language_folders, corpus, tmp_path, command, match):
    names = {"CORPUS": corpus, "BERT": language_folders["bert"], "T5": make_folder(tmp_path / "t5", "t5")}
    for name, path in names.items():
        command = command.replace(name, str(path))
    refused(f"{command} data_dir={tmp_path}", match)


def test_labels_are_no_plain_text(refused, language_folders, tmp_path, monkeypatch):
    from tests.support.tiny import write_sst2

    monkeypatch.setenv("INTRINSIC_DATA", str(write_sst2(tmp_path / "data")))
    refused(
        f"model=hf_lm init=hub model.name={language_folders['bert']} dataset=sst2",
        "hf_lm learns plain text, the dataset has labels: use dataset=text, or model=hf",
    )
