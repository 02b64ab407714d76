"""What a page says and holds."""

import base64
import hashlib
import io
import itertools
import json
import re
import struct
import sys

import pandas as pd
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from analysis.figures.figure import for_a_page, save_figure
from analysis.page.every_figure import figure_functions
from analysis.page.findings import best, thresholds
from analysis.page.protocol import protocol, question
from analysis.report import main, report
from analysis.studies.records import load_records
from intrinsic.errors import UserError
from tests.support.page import page
from tests.support.report_study import EVIL, grid
from tests.support.studies import add, python

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "outputs"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A study that no test changes."""
    study = tmp_path_factory.mktemp("outputs") / "demo"
    grid(study)
    return study


@pytest.fixture(scope="module")
def found(demo):
    """Its page."""
    return page(demo, out=demo.parent / "page.html")


@pytest.mark.rendered
def test_a_page_that_needs_nothing_else(found):
    assert len(found.text.encode()) < 5_000_000
    assert found.open == []  # well formed
    for tag, attributes in found.elements:
        for name in ("src", "href", "action", "poster", "srcset"):
            assert re.match("data:|#|$", attributes.get(name) or ""), (tag, attributes)
    assert "url(" not in "".join(found.texts["style"])
    (policy,) = [meta["content"] for meta in found.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]
    scripts = re.findall("<script>(.*?)</script>", found.text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(hashes) == 2
    assert all(f"'sha256-{value}'" in policy for value in hashes)


@pytest.mark.rendered
def test_what_the_page_says(demo, found):
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert found.texts["h1"] == ["demo"]
    (asked,) = found.texts["h2"]
    assert asked == "How many trainable parameters are needed on Digits, and how do full, lora and subspace compare?"
    titles = [title for title in found.texts["h4"] if title != "Best scores"]
    assert {"Compare", "Dim curve", "Rank curve", "Threshold"} <= set(titles)
    for picture in found.all("img"):
        assert len(picture["alt"]) > 20
        png = base64.b64decode(picture["src"].partition(",")[2])
        assert image.imread(io.BytesIO(png))[..., :3].std() > 0.05  # something is drawn
        width, height = struct.unpack(">II", png[16:24])
        assert (int(picture["width"]), int(picture["height"])) == (round(width * 0.64), round(height * 0.64))
    csvs = [link for link in found.all("a") if "download" in link]
    assert {f"{name.lower().replace(' ', '_')}.csv" for name in titles} == {link["download"] for link in csvs}
    assert base64.b64decode(csvs[0]["href"].partition(",")[2]).startswith(b"curve,x,rank,")
    assert not (demo / "figures").exists()  # the page is all that is written
    text = " ".join(found.texts["main"][0].split())
    assert "Full training scores 0.9600 on test data (mean of 3 runs), so the target is 0.8640." in text
    assert re.search(r"subspace \(fastfood\)d90 = \d+ \[\d+, \d+\]subspace dimension d, trainable parameters", text)
    assert "diverged: loss is nan at step 12" in text
    assert "Learning rates0.01" in text
    assert "Seeds0, 1, 2, 9" in text


def test_thresholds_and_best_scores_by_hand(outputs):
    demo = outputs / "demo"
    grid(demo)
    frame, _ = load_records([demo])
    rows = {(curve, unit): said for curve, said, unit in thresholds(frame, "demo").rows}
    value = int(re.findall(r"\d+", rows["subspace (fastfood)", "subspace dimension d, trainable parameters"])[1])
    truth = 30 * ((0.864 - 0.104) / 0.86 / (1 - (0.864 - 0.104) / 0.86)) ** (1 / 1.2)  # seed 1's curve is the mean
    assert value == pytest.approx(truth, rel=0.1)
    assert {unit for _, unit in rows} == {
        "subspace dimension d, trainable parameters",
        "rank r",
        "trainable parameters",
    }
    add(demo, rank=2, seed=0, lr=0.1, validation=0.99, test=0.5)  # validation decides, whatever test says
    drawn = figure_functions()["compare"](demo, out=demo.parent / "here")
    table = best(drawn).set_index("method")
    assert table.loc["lora", ["trainable parameters", "setting", "runs", "validation", "test"]].to_list() == [
        896, "lr=0.1", 1, 0.99, 0.5,
    ]  # fmt: skip
    assert table.loc["full", "sd"] == 0


def test_the_question_names_a_pretrained_model(outputs):
    model = {"_target_": "intrinsic.models.hf.hf", "name": "package:some_encoder/model"}
    add(outputs / "demo", rank=1, dataset={"_target_": "intrinsic.data.glue.glue", "task": "sst2"}, model=model)
    frame, _ = load_records([outputs / "demo"])
    assert question(frame) == "How many trainable parameters does some_encoder need on sst2 with lora?"
    said = dict(protocol(frame))
    assert said["Model"] == ["hf name=package:some_encoder/model"]
    assert said["Methods"] == ["lora: rank 1 (1 run)"]


def test_figures_are_found_by_their_form():
    names = list(figure_functions())
    assert {"compare", "rank_curve", "dim_curve", "threshold"} <= set(names)
    assert not {"report", "curves", "draw", "published", "figures_of"} & set(names)


def test_what_cannot_be_drawn_is_told(outputs):
    add(outputs / "one", rank=1)
    found = page(outputs / "one")
    assert "dim_curve" in found.texts["dt"]
    assert any("no run in" in why and "`python run.py -m method=subspace dim=" in why for why in found.texts["dd"])
    assert "No threshold: " in found.texts["main"][0]
    add(outputs / "bad", rank=1, status="failed")
    found = page(outputs / "bad")
    assert found.all("img") == []
    assert [attributes for attributes in found.all("script") if attributes.get("class") == "plot-data"] == []
    assert "No run has finished." in found.texts["p"]
    assert len(re.findall("<tr", found.text)) == 2  # a heading and a run: the table is there all the same


@pytest.mark.rendered
def test_text_of_strangers_is_text(outputs):
    study = outputs / "demo"
    for rank in (1, 2, 4):
        path = add(
            study, rank=rank, dataset={"_target_": "data.Digits", "note": EVIL}, space={EVIL: EVIL, "alpha": rank}
        )
    broken = add(
        study, rank=8, status="diverged", dataset={"_target_": "data.Digits", "note": EVIL}, **{"<script>key": 1}
    )
    for file, key, value in ((broken, "error", EVIL), (path, "method", EVIL), (path, "environment", {EVIL: EVIL})):
        record = json.loads(file.read_text())
        file.write_text(json.dumps(record | {key: value}))
    found = page(study)
    assert "<script>document" not in found.text
    assert "<img src=x" not in found.text
    assert len(found.all("script")) == 5  # BokehJS, ours, the plot's data, what configs share in each of two tasks
    assert any(EVIL in line for line in found.texts["li"])
    assert found.open == []


@pytest.mark.rendered
def test_figures_beyond_the_size_are_named(demo, monkeypatch):
    monkeypatch.setattr(sys.modules["analysis.page.html"], "IMAGES", 50_000)
    found = page(demo)
    assert 1 <= len(found.all("img")) < 4
    assert f"the page would pass 5 MB; `python -m analysis.threshold {demo}` draws it" in found.text


def test_mistakes_end_in_one_line(demo, tmp_path, capsys):
    for arguments, rule in (
        ([demo.parent / "demi"], "no study folder .*demi; the nearest is .*demo"),
        ([demo, "-o", tmp_path], "need --out to be a file, got the folder"),
        (
            [demo, "-o", next(demo.glob("*/record.json")) / "page.html"],
            "cannot write .*; choose another folder with --out",
        ),
        ([demo, "--where", "rank=77"], "no run has rank=77"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main([str(argument) for argument in arguments])
        assert re.fullmatch(f"error: .*{rule}.*\n", capsys.readouterr().err)
    with pytest.raises(UserError, match="need at least one study, got none"):
        report()
    main([str(demo), "-o", str(tmp_path / "new" / "page.html")])
    assert capsys.readouterr().out == f"{tmp_path / 'new' / 'page.html'}\n"


def test_heavy_packages_wait():
    done = python("-c", "import sys, analysis.report; print(*sys.modules)")
    assert not {"bokeh", "jinja2", "torch", "matplotlib.pyplot"} & set(done.stdout.split()), done.stderr


def test_a_page_has_the_figures_of_their_commands_without_the_files_for_print(tmp_path):
    rows = pd.DataFrame({"x": [1, 10], "score": [0.2, 0.6]})
    figure = Figure(layout="constrained")
    figure.subplots().plot(rows["x"], rows["score"])
    paths = save_figure(figure, rows, "both", tmp_path)
    with for_a_page():
        shown = save_figure(figure, rows, "page", tmp_path)
    assert [path.suffix for path in paths] == [".png", ".pdf", ".csv"]
    assert [path.suffix for path in shown] == [".png", ".csv"]
    assert shown[0].read_bytes() == paths[0].read_bytes()
