"""What ends a line, and what is a label: texts and GLUE files with all that other readers would cut or take."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intrinsic.data.read_lines import read_lines
from intrinsic.data.text import text
from intrinsic.errors import UserError
from tests.support.glue import load, write
from tests.support.glue import texts as texts_of

INSIDE = ["\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]  # str.splitlines would cut here


@pytest.mark.parametrize("character", INSIDE, ids=ascii)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=ascii)
def test_a_separator_inside_a_text_ends_no_line(tmp_path, character, end):
    torn = f"one{character}text"
    path = tmp_path / "corpus.txt"
    path.write_bytes((end.join([torn, "second", "third"]) + end).encode())
    assert text(file=path, fraction=1, seed=0).texts == [(torn,), ("second",), ("third",)]
    rows = end.join(["sentence\tlabel", f"{torn}\t1", *(f"film {n}\t{n % 2}" for n in range(5))])
    file = write(tmp_path, "sst2", "train", 0)
    file.write_bytes((rows + end).encode())
    write(tmp_path, "sst2", "dev", 4)
    data = load(tmp_path, "sst2")
    assert (torn,) in texts_of(data, data.train) + texts_of(data, data.validation)
    assert len(data.train) + len(data.validation) == 6


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), min_size=1), st.booleans())
def test_lines_are_those_that_were_written(tmp_path, lines, windows):
    path = tmp_path / "lines"
    path.write_bytes(("\r\n" if windows else "\n").join(lines).encode("utf-8-sig"))
    expected = [line if windows and number < len(lines) else line.removesuffix("\r")
                for number, line in enumerate(lines, start=1)]  # fmt: skip
    assert read_lines(path, remedy="") == expected


def test_what_is_no_file_is_not_waited_for(tmp_path):
    with pytest.raises(UserError, match=r"/dev/zero: cannot be read \(not a regular file\): need dataset.file"):
        text(file="/dev/zero", fraction=1, seed=0)
    with pytest.raises(UserError, match=r"there is no home folder for '~no_such_user/corpus': give the whole path"):
        text(file="~no_such_user/corpus", fraction=1, seed=0)
    with pytest.raises(UserError, match=r"cannot use the path 'a\\x00b' \(embedded null byte\): use another one"):
        text(file="a\0b", fraction=1, seed=0)
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 42)  # of holes: it takes no room on disk
    with pytest.raises(UserError, match=r"huge needs 26388.3 GB, .* GB of memory are free: use a smaller one"):
        text(file=path, fraction=1, seed=0)


@pytest.mark.parametrize(
    "score", ["nan", "NaN", "inf", "-inf", "infinity", "1e400", "5.001", "-1", "-0.1", "2_5", "0x2", "٣", " 2.5", ""]
)
def test_a_score_beyond_those_of_stsb(tmp_path, score):
    write(tmp_path, "stsb", "dev", 6)
    path = write(tmp_path, "stsb", "train", 6)
    path.write_bytes(path.read_bytes().replace(b"\t2.5\n", f"\t{score}\n".encode(), 1))
    with pytest.raises(UserError, match=r"STS-B/train.tsv, line 3: need a (number as score|score from 0 to 5), got "):
        load(tmp_path, "stsb")


def test_the_line_that_is_named_is_the_line_of_the_file(tmp_path):
    write(tmp_path, "sst2", "dev", 4)
    path = write(tmp_path, "sst2", "train", 4)
    path.write_text("\n\nsentence\tlabel\n\nfine\t1\n\ndull\t2\n")
    with pytest.raises(UserError, match=r"train.tsv, line 7: need the label 0 or 1, got '2': fetch it again"):
        load(tmp_path, "sst2")


def test_a_strangers_text_is_quoted(tmp_path):
    write(tmp_path, "sst2", "dev", 4)
    path = write(tmp_path, "sst2", "train", 4)
    evil = "\x1b]0;owned\x07\r" + "x" * 10_000
    for content in (f"{evil}\tlabel\nfine\t1\n", f"sentence\tlabel\nfine\t{evil}\n"):
        path.write_bytes(content.encode())
        with pytest.raises(UserError, match=r"got '\\x1b\]0;owned\\x07\\rx") as caught:
            load(tmp_path, "sst2")
        assert len(str(caught.value)) < 200 + 200
        assert str(caught.value).isprintable()


def test_a_column_that_is_there_twice(tmp_path):
    write(tmp_path, "sst2", "dev", 4)
    write(tmp_path, "sst2", "train", 4).write_text("sentence\tsentence\tlabel\nfine\tdull\t1\n")
    with pytest.raises(UserError, match=r"need the column 'sentence' once in its first line"):
        load(tmp_path, "sst2")


@pytest.mark.parametrize(
    ("task", "label", "match"),
    [
        ("stsb", float("nan"), r"nyu-mll/glue, row 2 of train: need a score from 0 to 5, got nan"),
        ("stsb", 7.0, r"need a score from 0 to 5, got 7.0"),
        ("rte", 5, r"row 2 of train: need a label below 2, got 5"),
        ("rte", -1, r"row 2 of train: need a label below 2, got -1"),
        ("rte", None, r"row 2 of train: need a label below 2, got None"),
    ],
)
def test_harmed_tables_of_the_hub(tmp_path, monkeypatch, task, label, match):
    datasets = pytest.importorskip("datasets")
    texts = {name: ["a b"] * 4 for name in ("sentence1", "sentence2")}
    whole = texts | {"label": [0, 1, 0, 1]}
    tables = {"train": texts | {"label": [0, 1, label, 1]}, "validation": whole, "test": texts | {"label": [-1] * 4}}
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: tables)
    with pytest.raises(UserError, match=match):
        load(tmp_path, task)


# Few examples


@pytest.mark.parametrize("count", [1, 2, 3])
def test_so_few_examples_that_a_split_is_empty(tmp_path, count):
    write(tmp_path, "rte", "train", count)
    write(tmp_path, "rte", "dev", 4)
    if count == 1:
        with pytest.raises(UserError, match=r"RTE: need 2 training examples or more, for train and validation, got 1"):
            load(tmp_path, "rte")
    else:
        data = load(tmp_path, "rte")
        assert [len(split) for split in (data.train, data.validation)] == [count - 1, 1]


def test_labels_of_one_class_are_what_they_are(tmp_path):
    for split in ("train", "dev"):
        write(tmp_path, "cola", split, 20).write_text("".join(f"gj04\t1\t*\tGood {n}.\n" for n in range(20)))
    data = load(tmp_path, "cola")
    assert data.metrics(torch.eye(2)[data.test.targets], data.test.targets) == {"matthews": 0.0, "accuracy": 1.0}
    assert data.num_outputs == 2


def test_an_empty_text_is_a_text(tmp_path):
    write(tmp_path, "sst2", "dev", 4)
    write(tmp_path, "sst2", "train", 4).write_text("sentence\tlabel\n\t1\nfine\t0\n")
    data = load(tmp_path, "sst2")
    assert sorted(texts_of(data, data.train) + texts_of(data, data.validation)) == [("",), ("fine",)]


@given(st.data(), st.sampled_from(["sst2", "cola", "mrpc", "stsb", "qqp"]))
def test_any_change_of_a_file_is_one_line_or_examples_of_it(tmp_path, data, task):
    write(tmp_path, task, "dev", 4)
    path = write(tmp_path, task, "train", 6)
    whole = path.read_bytes()
    place, dropped = data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, 9))
    part = data.draw(st.text("\t\n\r 015.\x1b\u2028\x85a").map(str.encode) | st.binary(max_size=4))
    path.write_bytes(whole[:place] + part + whole[place + dropped :])
    try:
        found = load(tmp_path, task)
    except UserError as error:
        message = str(error)
        assert message.isprintable(), message
        assert str(path.parent) in message
    else:
        assert 2 <= len(found.train) + len(found.validation) <= 6 + part.count(b"\n")
        assert all("\n" not in part for text in found.texts for part in text)
        assert bool(found.train.targets.isfinite().all())
        assert 0 <= found.train.targets.min() <= found.train.targets.max() <= 5
