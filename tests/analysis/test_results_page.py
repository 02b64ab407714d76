"""The pages of results are what the committed records make, and no number of their tables was typed."""

import json
import re
import shlex
import shutil

import pytest

from analysis.results.costs_file import CostsFile
from analysis.results.markdown import span, table
from analysis.results.pages import FIGURES, RECORDS, pages
from analysis.results.published_tables import interval, off
from analysis.results.small_study import read_small_study
from analysis.results_page import results_page
from intrinsic.errors import UserError
from tests.support.configs import ROOT, composes
from tests.support.studies import add

EARLIER = "## Measured earlier, records not kept"  # numbers that were typed before there were records
TEMPLATES = sorted((ROOT / RECORDS).glob("*.md.j2"))
STUDIES = sorted(path for path in (ROOT / RECORDS).glob("*.json") if path.name != "costs.json")


@pytest.fixture(scope="module")
def made():
    return pages(ROOT)


@pytest.mark.slow
def test_the_pages_are_what_the_records_make(made):
    for path, content in made.items():
        assert (ROOT / path).is_file(), path
        if path.suffix != ".png":
            assert (ROOT / path).read_text() == content.decode(), f"{path}: python -m analysis.results_page makes it"
    there = {path.relative_to(ROOT) for path in (ROOT / FIGURES).glob("*.png")}
    assert there == {path for path in made if path.suffix == ".png"}


@pytest.mark.slow
def test_every_record_is_shown(made):
    text = "".join(content.decode() for path, content in made.items() if path.suffix == ".md")
    for path in STUDIES:
        assert f"results/{path.name}" in text, f"{path.name} is on no page"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_number_of_a_table_is_typed(path):
    for line in path.read_text().partition(EARLIER)[0].splitlines():
        if line.startswith("|"):
            assert not re.search(r"\d", re.sub(r"\{\{.*?\}\}", "", line)), line


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_commands_of_a_study_compose(path):
    commands = read_small_study(path)["commands"]
    assert commands
    for command in commands:
        words = shlex.split(command)
        assert words[:2] == ["python", "run.py"], command
        assert composes(words[2:])


@pytest.fixture
def small(tmp_path):
    """A repository with one study and one page."""
    from analysis.commit_results import commit_results

    folder = tmp_path / "root" / RECORDS
    folder.mkdir(parents=True)
    for rank in (1, 2, 4):
        for seed in (0, 1):
            add(tmp_path / "ranks", rank=rank, seed=seed, test=0.7 + 0.05 * rank + 0.01 * seed)
    add(tmp_path / "ranks", "full", 0.95)
    commit_results([tmp_path / "ranks"], folder / "ranks.json", commands=["python run.py -m rank=1,2,4"], note="")
    text = (
        '{{ study("ranks").commands() }}\n\n{{ method_table("ranks") }}\n\n{{ figure("ranks", "scores", "compare") }}\n'
    )
    (folder / "PAGE.md.j2").write_text(text + '\n{{ study("ranks").facts() }}\n')
    return tmp_path / "root"


def test_a_typed_number_and_a_changed_record_both_fail(small):
    first = results_page(small)
    assert sorted(path.as_posix() for path in first) == [
        "docs/PAGE.md", "docs/figures/results/ranks_compare.png", "docs/figures/results/rows.json",
    ]  # fmt: skip
    page = small / "docs" / "PAGE.md"
    assert "| `lora`, rank 1 | 448 | 0.900 ± 0.000 | 0.755 ± 0.064 | 2 | lr=0.01 |" in page.read_text()
    assert results_page(small, check=True) == results_page(small) == []
    page.write_text(page.read_text().replace("0.755", "0.775"))
    with pytest.raises(UserError, match=r"not what the records make: docs/PAGE\.md; make docs"):
        results_page(small, check=True)
    assert results_page(small) == [page.relative_to(small)]
    record = small / RECORDS / "ranks.json"
    record.write_text(record.read_text().replace('"accuracy": 0.75}', '"accuracy": 0.74}'))
    with pytest.raises(UserError, match=r"docs/PAGE\.md, docs/figures/results/rows\.json; make docs"):
        results_page(small, check=True)


def test_a_figure_that_no_page_shows_goes(small):
    results_page(small)
    stray = small / FIGURES / "stray.png"
    shutil.copy(small / FIGURES / "ranks_compare.png", stray)
    with pytest.raises(UserError, match=r"not what the records make: docs/figures/results/stray\.png"):
        results_page(small, check=True)
    results_page(small)
    assert not stray.exists()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        ('{{ study("nothing").facts() }}', r"nothing\.json"),
        ("{{ nothing() }}", "'nothing' is undefined; see docs/guides/results.md"),
        ('{{ figure("ranks", "x", "published") }}', "is of a published task"),
        ('{{ claims_table(nothing="ranks") }}', "no claim nothing: there are memory, checkpoint"),
    ],
)
def test_a_page_that_asks_for_what_is_not_there(small, call, match):
    (small / RECORDS / "costs.json").write_text('{"format": 1, "rows": []}')
    (small / RECORDS / "PAGE.md.j2").write_text(call)
    with pytest.raises(UserError, match=match) as caught:
        pages(small)
    assert "\n" not in str(caught.value)


def test_costs_that_are_not_measured_are_refused(tmp_path):
    row = {"name": "a", "overrides": ["method=full"], "runs": 2}
    (tmp_path / "costs.json").write_text(json.dumps({"format": 1, "rows": [row]}))
    with pytest.raises(UserError, match=r"a is not measured: measure it by python -m experiments\.costs"):
        CostsFile(tmp_path / "costs.json")
    measured = {"seconds": 0.5, "steps": 72, "epochs": 100, "bytes": {"total": 10}}
    (tmp_path / "costs.json").write_text(json.dumps({"format": 1, "rows": [row | {"measured": measured}]}))
    costs = CostsFile(tmp_path / "costs.json")
    assert costs.hours == {"a": "2 h"}  # 0.5 s * 72 * 100 * 2 / 3600
    assert costs.ratio("a", "a", "bytes", "total") == 1
    with pytest.raises(UserError, match="the costs have no b seconds"):
        costs.measured("b", "seconds")


def test_tables_and_numbers():
    assert table({"a": "<", "b": ">"}, [["x|y", "1"]]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |"
    assert [span(["0", "1", "2"]), span(["0", "2"]), span(["0"])] == ["0 to 2", "0, 2", "0"]
    # Student's 97.5 % quantile with two degrees of freedom is 4.302653; 4.302653 * 0.01 / sqrt(3) = 0.0248
    assert [interval(0.9, 0.01, 3), interval(0.9, float("nan"), 1)] == ["0.900 ± 0.025", "0.900"]
    assert [off(0.905, 0.89, 0.90), off(0.895, 0.89, 0.90), off(0.86, 0.89, 0.90)] == ["+0.005", "0", "**-0.030**"]
