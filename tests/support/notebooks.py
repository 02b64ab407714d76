"""Notebooks, run from start to end."""

import pytest

from tests.support.configs import ROOT
from tests.support.pages import compare

NOTEBOOKS = {path.stem: path for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")}


def printed(cell):
    """The text of a cell's outputs."""
    parts = [output.get("text") or output["data"]["text/plain"] for output in cell.get("outputs", [])]
    return "\n".join(part.strip("\n") for part in parts)


def follow_notebook(path, clone):
    """Run a notebook in its folder of a clone: what it prints is what it shows, but for numbers."""
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat: pip install -e '.[docs]'")
    client = pytest.importorskip("nbclient", reason="needs nbclient: pip install -e '.[docs]'")
    shown, found = (nbformat.read(path, as_version=4) for _ in range(2))
    nbformat.validate(shown)
    folder = clone / "docs" / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    client.NotebookClient(found, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    for before, after in zip(shown.cells, found.cells, strict=True):
        compare(printed(after), printed(before).splitlines(), before.source)
