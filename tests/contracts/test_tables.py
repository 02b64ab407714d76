"""The README's tables have a row for each method and projection, and name each figure."""

import re

import pytest

from analysis.page.every_figure import figure_functions
from experiments.config.build import build
from tests.support.configs import ROOT, composed, names

README = (ROOT / "README.md").read_text()
TABLES = re.sub(r"```.*?```", "", README, flags=re.DOTALL)  # not what the examples show


def row(name):
    """The row of a table."""
    found = [line for line in TABLES.splitlines() if line.startswith(f"| `{name}` |")]
    assert len(found) == 1, f"need one row | `{name}` | in a table of README.md"
    return found[0]


@pytest.mark.parametrize("method", names("method"))
def test_every_method_has_a_row(method):
    assert row(method)


@pytest.mark.parametrize("projection", [name for name in names("projection") if name != "identity"])
def test_every_projection_has_a_row_that_says_whether_its_columns_have_unit_norm(projection):
    make = build(composed("method=subspace", f"projection={projection}")["projection"], "projection")
    exactly = row(projection).split(" | ")[-1].startswith("exactly")
    assert exactly == make(8, 64, seed=0).unit_columns  # sizes at which no block is cut


@pytest.mark.parametrize("figure", figure_functions())
def test_every_figure_is_named(figure):
    assert f"`{figure}`" in README or f"analysis.{figure}" in README
