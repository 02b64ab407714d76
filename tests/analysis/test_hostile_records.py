"""Records of strangers and damaged ones: figures, tables and pages hold whatever they say, or say what is wrong."""

import re
import warnings

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import text

from analysis.compare import compare
from analysis.figures.as_csv import as_csv
from analysis.rank_curve import rank_curve
from analysis.report import report
from analysis.studies.plain import plain
from analysis.studies.records import load_records
from analysis.threshold import threshold
from intrinsic.errors import UserError
from tests.support.hostile_values import NAMES, PLACES, VALUES, change
from tests.support.studies import add, python, refused

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]


def grid(study):
    files = [add(study, rank=rank, seed=seed, test=0.9 - 0.3 / rank) for rank in (1, 2, 4, 8) for seed in (0, 1)]
    return files + [add(study, "full", 0.95, seed=seed) for seed in (0, 1)]


BEYOND = ['"seed": 18446744073709551616', '"seed": 1e400', '"seed": NaN', '"\\ud800": 0', '"seed": "\\udfff"']


@pytest.mark.rendered
def test_names_are_drawn_as_they_are(study):
    for number, name in enumerate(NAMES):
        for rank in (1, 2):
            file = add(study, name, rank=rank, seed=number, optim={"name": name})
            change(file, "error", name)
            change(file, "environment", {name: name, "commit": name})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = rank_curve(study)
        page = report(study).read_bytes().decode()
    labels = [label.get_text() for label in drawn.figure.legends[0].get_texts()]
    assert len(set(labels)) == len(NAMES) - 2
    assert sum(note.startswith("left out: ") for note in drawn.notes) == 4  # lone surrogates are no text
    assert all(label.isprintable() and len(label) < 120 for label in labels)
    assert {r"$\frac{1}$", r"line\nbreak\r\x00\x1b[31m", r"\u202egnp.exe", "'_hidden'", "🦜🦜🦜"} < set(labels)
    assert not any(found.get_parse_math() for found in drawn.figure.findobj(text.Text))
    assert "<script>alert" not in page
    assert r"\u003c/script\u003e" in page  # in JSON of the plot
    assert "&lt;script&gt;" in page  # in tables
    assert len(page) < 5_000_000
    read = pd.read_csv(drawn.paths[2], keep_default_na=False, dtype=str)
    assert "'=cmd|' /C calc'!A0" in set(read["curve"])
    assert not read.apply(lambda column: column.str.match(r"[=+@\t\r]")).any(axis=None)


@pytest.mark.parametrize(
    ("value", "written"),
    [("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"), ("+1+1", "'+1+1"), ("-a", "'-a"), ("@sum", "'@sum")]
    + [("\tx", "'\tx")] + [(same, same) for same in ("-0.5", "+3e-4", "a=b", "lora", "-inf")],
)  # fmt: skip
def test_a_formula_is_no_formula_in_the_csv(value, written):
    frame = pd.DataFrame({"name": [value], value: [-0.5], "count": pd.array([-3], "Int64")})
    read = pd.read_csv(pd.io.common.BytesIO(as_csv(frame)), dtype={"name": str}, keep_default_na=False)
    assert list(read.columns) == ["name", written, "count"]
    assert (read["name"][0], read[written][0], read["count"][0]) == (written, -0.5, -3)


def test_what_is_plain_is_short_printable_and_different():
    found = [plain(name) for name in NAMES]
    assert all(line.isprintable() and len(line) <= 1010 for line in found)
    assert len(set(found)) == len(NAMES)
    assert plain("x" * 5000 + "a") != plain("x" * 5000 + "b")
    assert plain("θ₀ + P z, 0.5 🦜") == "θ₀ + P z, 0.5 🦜"


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("config.seed", "0", "config.seed is 0, not a number of 64 bits"),
        ("config.optim.lr", 1e16, "config.optim.lr is 1e\\+16, not a rate"),
        ("config.optim.lr", True, "config.optim.lr is true, not a rate"),
        ("config.rank", -4, "config.rank is -4, not a count"),
        ("config.rank", 2**60, "config.rank is 1152921504606846976, not a count"),
        ("numbers.trained", 0, "numbers.trained is 0, not a count"),
        ("numbers.trained", None, "numbers.trained is null, not a count"),
        ("last.test", {}, "last.test.accuracy is null, not a finite number"),
        ("last.test.accuracy", "0.9", "last.test.accuracy is 0.9, not a finite number"),
        ("last.test.accuracy", 1e300, "last.test.accuracy is 1e\\+300, not a finite number"),
        ("last", [], "last.epoch is null, not a number"),
        ("metric", None, "metric is null, not a name"),
        ("config", [], "config is \\[\\], not a mapping"),
        ("status", "done\x1b", "status is done.x1b, not one of"),
    ],
)
def test_a_record_that_cannot_be_used_is_left_out_and_named(study, place, value, said):
    good = grid(study)
    whole = rank_curve(study).points
    bad = add(study, rank=16)
    change(bad, place, value)
    drawn = rank_curve(study)
    pd.testing.assert_frame_equal(drawn.points, whole)
    (note,) = [note for note in drawn.notes if note.startswith("left out: ")]
    assert re.fullmatch(f"left out: damaged record {bad}: {said}.*; delete its folder and run it again", note)
    for file in good:
        file.unlink()
    refused(said, study)  # none is left


def test_of_many_bad_records_the_first_are_named(study):
    grid(study)
    for seed in range(8):
        change(add(study, rank=16, seed=seed), "status", "odd")
    notes = [note for note in rank_curve(study).notes if note.startswith("left out: ")]
    assert (len(notes), notes[-1]) == (6, "left out: 3 more records")
    done = python("-m", "analysis.rank_curve", study)
    assert (done.returncode, done.stderr, done.stdout.count("note: left out: ")) == (0, "", 6)


@pytest.mark.parametrize("content", ["[" * 200_000, "9" * 5000, "", "null", "[]", '"x"', "\x00", "\ufeff{}", *BEYOND])
def test_what_is_no_record_is_left_out(study, content):
    grid(study)
    file = add(study, rank=16)
    file.write_text(file.read_text().replace('"seed": 0', content) if content in BEYOND else content)
    (note,) = [note for note in compare(study).notes if note.startswith("left out: ")]
    assert "\n" not in note


def test_a_record_of_a_gigabyte_is_not_read(study):
    grid(study)
    with add(study, rank=16).open("r+b") as file:
        file.truncate(1 << 30)
    (note,) = [note for note in compare(study).notes if note.startswith("left out: ")]
    assert "1,073,741,824 bytes, more than 33,554,432" in note


@pytest.mark.rendered
def test_seeds_of_64_bits_and_a_study_named_by_a_number_are_drawn(study):
    for rank in (1, 2):
        for seed in (2**63, 2**64 - 1):
            change(add(study, rank=rank, seed=seed), "study", 2026)
    drawn = rank_curve(study)
    assert sorted(set(drawn.rows["seed"])) == [2**63, 2**64 - 1]
    assert set(drawn.rows["study"]) == {"2026"}
    assert "9223372036854775808" in report(study).read_text()
    assert str(2**64 - 1) in drawn.paths[2].read_text()


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    study = tmp_path_factory.mktemp("outputs") / "demo"
    return {file: file.read_text() for file in grid(study)}


@pytest.mark.parametrize(
    "function", [*(pytest.param(f, marks=pytest.mark.rendered) for f in (rank_curve, compare, threshold)), report]
)
@settings(max_examples=3)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(PLACES), st.sampled_from(VALUES) | st.text(max_size=4)),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_is_changed_in_records_there_is_a_figure_or_one_line(records, tmp_path_factory, function, changes):
    files = list(records)
    for file, content in records.items():
        file.write_text(content)
    for number, place, value in changes:
        change(files[number], place, value)
    out = tmp_path_factory.mktemp("out")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            drawn = function(files[0].parents[1], out=out / "page.html" if function is report else out)
        except UserError as error:
            line = str(error)
            drawn = None
    if drawn is None:
        assert line.splitlines() == [line]
    elif function is not report:
        assert all(path.stat().st_size > 0 for path in drawn.paths)
        assert all(label.isprintable() for label in map(str, drawn.rows["curve"]))


def test_a_key_that_the_first_filter_leaves_no_run_of_is_a_key(study):
    for rank, model in ((1, {"_target_": "A", "depth": 2}), (2, {"_target_": "B"})):
        add(study, rank=rank, model=model)
    frame, _ = load_records([study], where=["model._target_=B", "model.depth=null"])
    assert list(frame["rank"]) == [2]
