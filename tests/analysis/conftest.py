"""The folder of a study."""

import pytest


@pytest.fixture
def study(tmp_path):
    """A study that has no runs yet."""
    return tmp_path / "outputs" / "demo"
