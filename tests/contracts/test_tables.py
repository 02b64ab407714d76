"""The tables of docs have a row for each method and projection, and name each figure; what is published has a page."""

import re

import pytest

from analysis.page.every_figure import figure_functions
from experiments.config.build import build
from tests.support.configs import ROOT, composed, names

README, METHODS, INSIDE = ((ROOT / p).read_text() for p in ("README.md", "docs/methods/index.md", "docs/INSIDE.md"))
PROJECTIONS = [name for name in names("projection") if name != "identity"]


def row(name):
    """The cells of a row, whose first one may be a link."""
    found = [line for line in METHODS.splitlines() if re.match(rf"\| \[?`{name}`", line)]
    assert len(found) == 1, f"need one row | `{name}` | in a table of docs/methods/index.md"
    return [cell.strip() for cell in found[0].strip("|").split("|")]


@pytest.mark.parametrize("method", names("method"))
def test_every_method_has_a_row(method):
    assert len(row(method)) == 4
    assert f"`{method}`" in README


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_every_projection_has_a_row_that_says_whether_its_columns_have_unit_norm(projection):
    make = build(composed("method=subspace", f"projection={projection}")["projection"], "projection")
    exactly = row(projection)[3].startswith("exactly")
    assert exactly == make(8, 64, seed=0).unit_columns  # sizes at which no block is cut


@pytest.mark.parametrize("name", [*names("method"), *PROJECTIONS])
def test_every_part_has_its_page_but_one_of_your_own(name):
    """The page is linked from the row, shows the part's picture, and has a command and code."""
    cells = row(name)
    if cells[-1] == "own":
        return
    assert cells[0] == f"[`{name}`]({name}.md)"
    text = (ROOT / "docs" / "methods" / f"{name}.md").read_text()
    assert f"(figures/{name}.png)" in text
    assert "```console\n$ python run.py" in text or "```sh\npython run.py" in text
    assert "```python\n" in text
    assert set(re.findall(r"arxiv.org/abs/([\d.]+)", cells[-1])) <= set(re.findall(r"[\d.]+\d", text))


@pytest.mark.parametrize("figure", figure_functions())
def test_every_figure_is_named(figure):
    assert f"`{figure}`" in INSIDE
