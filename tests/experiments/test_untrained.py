"""Small language models at random weights, with a tokenizer of one's own texts."""

import json

import pytest
import torch

from experiments.export import export
from experiments.run.train import train
from experiments.untrained import untrained
from intrinsic.errors import UserError
from intrinsic.models.hf_lm import hf_lm
from intrinsic.models.hf_tokenizer import HFTokenizer
from tests.support.commands import assert_one_line
from tests.support.configs import composed
from tests.support.measurements import measure
from tests.support.tiny_language import MODEL, write_text

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("surroundings")]

pytest.importorskip("transformers")

SMALL = {"vocabulary": 80, "width": 8, "layers": 1, "heads": 2, "tokens": 24}


@pytest.fixture
def corpus(tmp_path):
    return write_text(tmp_path / "corpus.txt")


def test_the_folder_is_what_was_asked_for(corpus, tmp_path):
    folder = untrained([corpus], tmp_path / "made" / "small", **SMALL)
    tokenizer = HFTokenizer(name=str(folder), max_length=24)
    assert tokenizer.size <= 80
    config = json.loads((folder / "config.json").read_text())
    assert [config[key] for key in ("vocab_size", "n_embd", "n_layer", "n_head", "n_positions")] == [
        tokenizer.size, 8, 1, 2, 24,
    ]  # fmt: skip
    texts = ["The FILM is good w3", "a bad one"]
    cut = tokenizer([(text,) for text in texts])
    first, second = cut["ids"].split(cut["lengths"].tolist())
    assert first[-1] == second[-1] == tokenizer.end == 2
    assert tokenizer.decode([first[:-1].tolist()])[0].replace(" ", "") == "thefilmisgoodw3"
    assert (second == 1).any()  # n is no letter of the corpus
    model = hf_lm((2, 24), tokenizer.size, name=str(folder), **MODEL)
    assert model(torch.zeros(1, 2, 24, dtype=torch.int64)).shape == (1, 24, tokenizer.size)
    assert not any(module.p for module in model.modules() if isinstance(module, torch.nn.Dropout))


def test_its_seed_decides(corpus, tmp_path):
    state = torch.get_rng_state()
    folders = [untrained([corpus], tmp_path / str(n), **SMALL, seed=seed) for n, seed in enumerate((0, 0, 1))]
    assert torch.equal(torch.get_rng_state(), state)
    weights = [(folder / "model.safetensors").read_bytes() for folder in folders]
    tokenizers = [(folder / "tokenizer.json").read_bytes() for folder in folders]
    assert weights[0] == weights[1] != weights[2]
    assert len(set(tokenizers)) == 1


def test_it_is_pretrained_then_classifies(corpus, tmp_path):
    """As the experiment goes: full training from the folder's own weights, an export, a classifier in a subspace."""
    place = (f"data_dir={tmp_path}", f"output={tmp_path}", "tokenizer.max_length=24", "lr=0.01")
    folder = untrained([corpus], tmp_path / "epoch0", **SMALL)
    runs = {}
    for epochs in (1, 2):
        read = ("method=full", "model=hf_lm", f"model.name={folder}", "dataset=text", f"dataset.file={corpus}")
        runs[epochs] = train(
            composed(*read, "schedule=constant", f"epochs={epochs}", *place), tmp_path / f"run{epochs}"
        )
    later, earlier = runs[2].history, runs[1].history
    assert [each["validation"] for each in later[:2]] == [
        each["validation"] for each in earlier
    ]  # one is the other's start
    assert later[2]["validation"]["loss"] < later[0]["validation"]["loss"]
    labelled = tmp_path / "labelled.tsv"
    labelled.write_text("".join(f"{line.split()[-2]}\t{line}\n" for line in corpus.read_text().splitlines()))
    start = ("experiment=aghajanyan2020/pretraining", f"model.name={export(tmp_path / 'run2', tmp_path / 'epoch2')}")
    small = ("dim=30", "epochs=1", f"dataset.file={labelled}", "dataset.fraction=1", f"output={tmp_path}")
    tuned = train(composed(*start, *small, f"data_dir={tmp_path}", "tokenizer.max_length=24"), tmp_path / "tuned")
    assert (tuned.status, tuned.metric, tuned.numbers["trained"]) == ("finished", "accuracy", 30)
    assert tuned.config["model"]["source"] == "hub"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"width": 9}, "need width divisible by heads, got width=9, heads=2"),
        ({"layers": 0}, "need an integer layers from 1 to .*, got layers=0"),
        ({"tokens": 3}, "need an integer tokens from 4 to .*, got tokens=3"),
        (
            {"vocabulary": 9},
            "the texts have .* different characters: need a vocabulary of .* at least, got vocabulary=9",
        ),
        ({"seed": -1}, "need an integer seed >= 0, got seed=-1"),
        ({"width": 2**20, "layers": 2**13}, "the model needs .* GB, .* of memory are free: use a smaller one"),
    ],
)
def test_bad_sizes(corpus, tmp_path, change, match):
    with pytest.raises(UserError, match=match):
        untrained([corpus], tmp_path / "small", **{**SMALL, **change})
    assert not (tmp_path / "small").exists()


def test_the_command(corpus, tmp_path, capsys):
    folder, sizes = tmp_path / "small", [f"--{name}={value}" for name, value in SMALL.items()]
    assert measure("untrained", folder, corpus, *sizes, "--no-lowercase") == 0
    assert capsys.readouterr().out == f"{folder}\n"
    assert measure("untrained", folder, corpus) == 2
    assert_one_line(capsys.readouterr().err, "small is there already: need the name of a new folder")
    assert measure("untrained", tmp_path / "other", tmp_path / "absent.txt") == 2
    assert_one_line(capsys.readouterr().err, "absent.txt: cannot be read")
    (tmp_path / "empty.txt").write_text("\n \n")
    assert measure("untrained", tmp_path / "other", tmp_path / "empty.txt") == 2
    assert_one_line(capsys.readouterr().err, "empty.txt has no text: need one on each line")
