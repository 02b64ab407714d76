"""Texts with labels from files."""

import json
from collections import Counter

import pytest

from intrinsic.data.labelled_text import labelled_text
from intrinsic.errors import UserError

pytestmark = pytest.mark.usefixtures("surroundings")

OPTIONS = {"shuffle_labels": False, "fraction": 1.0, "seed": 0}


@pytest.fixture
def films(tmp_path):
    """Twenty good films to ten bad ones."""
    path = tmp_path / "films.tsv"
    path.write_text("".join(f"{('good', 'bad')[i % 3 == 0]}\tfilm w{i}\n" for i in range(30)), encoding="utf-8")
    return path


def of(file, **changes):
    """The texts and the labels of each split."""
    task = labelled_text(file=file, **{**OPTIONS, **changes})
    splits = (task.train, task.validation, task.test)
    return [[(task.texts[i][0], int(t)) for i, t in zip(s.inputs, s.targets, strict=True)] for s in splits]


def test_lines_are_labels_and_texts(tmp_path):
    first, second = tmp_path / "a.tsv", tmp_path / "b.tsv"
    first.write_bytes("\ufeffyes\tone\r\n\n no \t two\tand a tab \nyes\tthree\nyes\tone\n".encode())
    second.write_text("no\tfour\nno\tfünf\nyes\tsix\n", encoding="utf-8")
    found = [row for split in of([str(first), second]) for row in split]
    expected = [("one", 1), ("two\tand a tab", 0), ("three", 1), ("four", 0), ("fünf", 0), ("six", 1)]
    assert sorted(found) == sorted(expected)  # "one" once; classes in the order of the alphabet


def test_splits_have_as_many_of_each_class(films):
    train, validation, test = of(films)
    assert [Counter(label for _, label in part) for part in (train, validation, test)] == [
        {0: 8, 1: 16},
        {0: 1, 1: 2},
        {0: 1, 1: 2},
    ]
    assert len({text for part in (train, validation, test) for text, _ in part}) == 30
    assert of(films) == [train, validation, test]
    assert of(films, seed=1)[2] != test
    half = of(films, fraction=0.5)
    assert half[1:] == [validation, test]
    assert set(half[0]) < set(train)
    wrong = of(films, shuffle_labels=True)[0]
    assert [text for text, _ in wrong] == [text for text, _ in train]
    assert wrong != train


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (
            None,
            r"absent.tsv: cannot be read \(No such file or directory\): need dataset.file=<a file of lines label<TAB>",
        ),
        ("", r"need texts of two labels or more, got 0 in file=.*: add some"),
        ("a\tx\na\ty\na\tz\n", r"need texts of two labels or more, got 1 in file=.*: add some"),
        ("a\tx\n\nno tab\n", r"some.tsv, line 3: need label<TAB>text, got 'no tab'"),
        ("a\tx\n\tno label\n", r"some.tsv, line 2: need label<TAB>text, got '\\tno label'"),
        ("a\tx\nb\t \n", r"some.tsv, line 2: need label<TAB>text, got 'b\\t '"),
        ("a\tx\nb\ty\nb\tx\n", r"some.tsv, line 3: its text has the label 'b', and 'a' before: need one"),
        ("a\tx\na\ty\na\tz\nb\tw\n", r"need 3 texts or more of each label, got 1 of 'b': add some"),
    ],
)
def test_bad_files(tmp_path, content, match):
    path = tmp_path / ("absent.tsv" if content is None else "some.tsv")
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=match):
        labelled_text(file=str(path), **OPTIONS)


@pytest.mark.parametrize("file", [None, "", [], [""], 3, ["a", None]])
def test_no_file(file):
    with pytest.raises(
        UserError, match=r"need dataset.file=<a file of lines label<TAB>text> or a list of them, got file="
    ):
        labelled_text(file=file, **OPTIONS)


@pytest.mark.slow
def test_a_classifier_learns_them(program, folders, tmp_path):
    """Which of two words a text has; a model at random weights, and all of them trained."""
    pytest.importorskip("transformers")
    path = tmp_path / "words.tsv"
    words = ["a", "film", "is", "was", "the", "story", "very"]
    rows = [
        f"{word}\t{' '.join(words[i % 7 :])} {word} {' '.join(words[: i // 7 % 7])} {i}\n"
        for i in range(60)
        for word in ("good", "bad")
    ]
    path.write_text("".join(rows), encoding="utf-8")
    command = (
        f"method=full lr=0.01 epochs=15 dataset=labelled_text dataset.file={path} model=hf init=random study=words"
    )
    status, _, err = program(f"{command} model.name={folders['bert']} data_dir={tmp_path}", tmp_path)
    assert status == 0, err
    (record,) = (tmp_path / "words").glob("*/record.json")
    assert json.loads(record.read_text())["last"]["test"]["accuracy"] > 0.9
