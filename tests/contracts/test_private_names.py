"""Names that other libraries keep to themselves, in one file for each library: which they are, and that they are there.

A version of a library that lacks one fails here, by its name. That no other file has them is in `test_layers`.
"""

import ast
import inspect
import re
from functools import reduce
from importlib import import_module
from importlib.metadata import version

import pytest

from tests.support.configs import ROOT
from tests.support.private_names import FILE, NAMES, VERSIONS, of_file


def distribution(library):
    return library.partition(".")[0]


@pytest.mark.parametrize("path", sorted({*FILE.values()}))
def test_each_file_has_these_names_and_no_others(path):
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            found |= {*node.module.split("."), *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    private = {name for name in found if re.fullmatch(r"_[a-zA-Z]\w*", name)}
    assert of_file(path) <= private
    assert of_file(path) == private or path == FILE["numba"]  # a subclass of Numba's, with methods of its own


@pytest.mark.parametrize(("library", "name"), [(library, name) for library in NAMES for name in NAMES[library]])
def test_the_installed_version_has_it(library, name):
    pytest.importorskip(library)
    module, _, path = NAMES[library][name].partition(":")
    thing = reduce(getattr, path.split("."), import_module(module)) if path else import_module(module)
    if hasattr(thing, name) or (name.endswith("_") and any(each.startswith(name) for each in dir(thing))):
        return
    oldest, newest = VERSIONS[library]
    needed = f"{library} {version(distribution(library))} has no {name} in {thing}, which {oldest} to {newest} have"
    assert re.search(rf"\b{name}\b", inspect.getsource(thing)), needed


@pytest.mark.parametrize("library", VERSIONS)
def test_the_oldest_version_is_the_one_that_is_asked_for(library):
    oldest, _ = VERSIONS[library]
    assert re.search(rf'"{distribution(library)}>={re.escape(oldest)}[",]', (ROOT / "pyproject.toml").read_text())
