"""Sweeps that are compared with others, and how a run is made to die."""

import os

import pytest

from tests.support.configs import ROOT
from tests.support.sweeps import DIE, records, run_here


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The records of the sweep by the basic launcher."""
    output = tmp_path_factory.mktemp("basic")
    assert run_here(output) == 0
    return records(output)


@pytest.fixture
def mortal(tmp_path):
    """The environment in which one run dies."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(DIE)
    (tmp_path / "deadly").touch()
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    return {"PYTHONPATH": path, "DEADLY": str(tmp_path / "deadly"), "RAY_ADDRESS": "local"}
