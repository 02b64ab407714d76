"""Every public name has an example in its docstring that runs as it stands there, and an entry in the API pages."""

import doctest
import inspect
import re

import pytest

import intrinsic
from tests.support.configs import ROOT

API = "\n".join(path.read_text() for path in sorted((ROOT / "docs" / "api").glob("*.md")))


@pytest.mark.parametrize("name", intrinsic.__all__)
def test_the_example_of_a_docstring_runs(name):
    """With nothing imported but what it imports itself."""
    found = doctest.DocTestParser().get_doctest(getattr(intrinsic, name).__doc__ or "", {}, name, None, 0)
    assert found.examples, f"{name} needs an example in its docstring: a section Examples: with >>>"
    complaints = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(found, out=complaints.append)
    assert not complaints, "".join(complaints)


def test_the_api_pages_have_every_public_name_once():
    assert sorted(re.findall(r"^::: intrinsic\.(\w+)$", API, flags=re.MULTILINE)) == sorted(intrinsic.__all__)


def test_every_public_part_of_a_class_has_a_docstring():
    """What the API pages would leave out without a word; a method may share the docstring that it overrides."""
    classes = [thing for name in intrinsic.__all__ if isinstance(thing := getattr(intrinsic, name), type)]
    parts = [(thing, key, part) for thing in classes for key, part in vars(thing).items() if not key.startswith("_")]
    spoken = [(thing, key) for thing, key, part in parts if callable(part) or isinstance(part, property | staticmethod)]
    assert len(spoken) > 50
    assert not [(thing, key) for thing, key in spoken if not inspect.getdoc(getattr(thing, key))]
