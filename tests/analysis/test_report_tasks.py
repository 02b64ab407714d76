"""Tasks of a page: what makes one, and its section."""

import pytest

from analysis.studies.by_task import OneTask, parts
from tests.support.page import page
from tests.support.studies import add

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "outputs"


def test_tasks_have_sections(outputs):
    for name, rotate in (("a", 0), ("a", 90), ("b", 90)):
        for seed in (0, 1):
            add(outputs / name, rank=1, seed=seed, dataset={"_target_": "data.Digits", "rotate": rotate})
    add(outputs / "b", rank=2, dataset={"_target_": "data.Digits", "rotate": 90})
    assert parts([outputs / "a", outputs / "b"]) == [
        OneTask((outputs / "a",), ("dataset.rotate=0",)),
        OneTask((outputs / "a", outputs / "b"), ("dataset.rotate=90",)),
    ]
    found = page(outputs / "a", outputs / "b")
    assert len(found.texts["h2"]) == 2
    assert found.texts["nav"][0].split("\n")[1:3] == ["a (dataset.rotate=0)", "a, b (dataset.rotate=90)"]
    assert "The runs are of 2 tasks" in found.texts["p"][0]
    assert {link["href"] for link in found.all("a") if "download" not in link} == {"#task-0", "#task-1"}
    assert len(page(outputs / "a", outputs / "b", where=["dataset.rotate=0"]).texts["h2"]) == 1
    assert parts([outputs / "b", outputs / "b"]) == [OneTask((outputs / "b",), ())]


def test_a_seed_that_is_copied_makes_no_task(outputs):
    """In one study a config repeats the seed, in the other it is fixed: each is one task, and they are two."""
    for seed in (0, 1):
        add(outputs / "a", rank=1, seed=seed, model={"seed": seed})
        add(outputs / "b", rank=1, seed=seed, model={"seed": 7})
    assert parts([outputs / "a", outputs / "b"]) == [OneTask((outputs / "a",), ()), OneTask((outputs / "b",), ())]


def test_metrics_make_tasks(outputs):
    add(outputs / "a", rank=1)
    path = add(outputs / "b", rank=2)
    path.write_text(path.read_text().replace('"accuracy"', '"mcc"'))
    assert len(parts([outputs / "a", outputs / "b"])) == 2
