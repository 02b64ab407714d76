"""A study of finished runs, for all that measure it."""

import pytest

from tests.support.measurements import make_study

study = pytest.fixture(scope="session")(make_study)
