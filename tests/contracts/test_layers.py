"""The layout: who may import whom, how long a file may be, and what the library calls public."""

import ast
import re
from pathlib import Path

import pytest

import intrinsic
from intrinsic.public import HOME
from tests.support.configs import ROOT, names
from tests.support.private_names import FILE, NAMES, of_file

# from top to bottom: what stands in a row may import the rows above it; COMMANDS are the files beside the packages
COMMANDS = "commands"
ORDER = {
    "intrinsic": [
        ["errors", "public"],
        ["missing_package"],
        ["checks", "own_packages", "surgery", "terminal"],
        ["files", "rng", "rng_torch", "threshold"],
        ["layers", "projections", "tasks"],
        ["data", "models", "spaces"],
        ["subspace"],
        ["peft", "serving", "training"],
        ["testing"],
        ["__init__"],
    ],
    "experiments": [["config", "step", "terminal"], ["hessian", "loggers"], ["run"], ["finished"], [COMMANDS]],
    "analysis": [["references", "studies"], ["figures"], ["advice", "page"], ["publication"], ["results"], [COMMANDS]],
}
WITHOUT = {  # what a part must not import
    "intrinsic": {"hydra", "omegaconf", "pandas", "matplotlib", "experiments", "analysis"},
    "experiments": {"analysis"},
    "analysis": {"experiments", "torch"},
    "intrinsic/files/records.py": {"torch"},
    "intrinsic/threshold": {"torch"},
}
CONFIGURED = {"projections": "projection", "spaces": "space", "models": "model", "data": "dataset"}
FILES = sorted(path.relative_to(ROOT) for top in ORDER for path in (ROOT / top).rglob("*.py"))
LONGEST = 220
PUBLIC = {"_exit"}  # Python's own, documented with its underscore


def imports(path):
    """The modules that a file imports, as full names."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.ImportFrom):
            if node.module != "intrinsic":  # from intrinsic import rng: the module rng
                yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room(parts):
    """The package that a module of ours lies in, or the file's own name at the top of the library."""
    top, *below = parts
    if not below:
        return "__init__"
    package = (ROOT / top / below[0]).is_dir()
    return below[0] if package or top == "intrinsic" else COMMANDS


@pytest.mark.parametrize("path", [path for path in FILES if path.name != "__init__.py"], ids=str)
def test_imports_go_up_the_list(path):
    parts = path.with_suffix("").parts
    rows = {name: number for number, row in enumerate(ORDER[parts[0]]) for name in row}
    own = room(parts)
    for name in imports(path):
        other = name.split(".")
        if other[0] != parts[0] or (len(other) == 2 and not (ROOT / other[0] / other[1]).with_suffix("").exists()):
            continue
        if len(other) == 1:
            assert parts[0] != "intrinsic", f"{path} imports all of {name}"
            continue
        found = room(other)
        if found == own == COMMANDS:
            pytest.fail(f"{path} imports the command {name}: what commands share lies in a package")
        assert found == own or rows[found] < rows[own], f"{path} imports {name}"
        if found == own and len(parts) == 3 and len(other) > 2 and own in CONFIGURED:
            assert other[2] not in names(CONFIGURED[own]), f"{path} imports its sibling {name}"


@pytest.mark.parametrize("part", WITHOUT)
def test_what_a_part_does_not_know(part):
    inside = [path for path in FILES if path.is_relative_to(part)]
    found = {str(path): {name.split(".")[0] for name in imports(path)} & WITHOUT[part] for path in inside}
    assert found
    assert not {path: others for path, others in found.items() if others}


def test_every_room_has_its_place():
    for top, rows in ORDER.items():
        listed = {name for row in rows for name in row} - {"__init__"}
        assert {room(path.with_suffix("").parts) for path in FILES if path.parts[0] == top} - {"__init__"} == listed


@pytest.mark.parametrize("top", ["experiments", "analysis"])
def test_a_file_beside_the_packages_is_a_command(top):
    for path in (ROOT / top).glob("*.py"):
        if path.name != "__init__.py":
            assert '__name__ == "__main__"' in path.read_text(), f"{path} is no command: put it into a package"


def test_files_are_neither_long_nor_crumbs():
    lines = {path: len((ROOT / path).read_text().splitlines()) for path in FILES}
    assert not {str(path): n for path, n in lines.items() if n > LONGEST}, "split what has grown beyond one thing"
    users = {path: set() for path, n in lines.items() if 0 < n < 20 and path.name != "__init__.py"}
    for path in FILES:
        found = set(imports(path))
        for small, known in users.items():
            if ".".join(small.with_suffix("").parts) in found:
                known.add(path)
    assert not [str(path) for path, known in users.items() if len(known) == 1], "put them where they are used"


def test_packages_are_empty_or_hand_on_names():
    for path in FILES:
        if path.name == "__init__.py" and path.parts != ("intrinsic", "__init__.py"):
            body = ast.parse((ROOT / path).read_text()).body
            rest = [node for node in body if not isinstance(node, ast.ImportFrom)]
            assert all(isinstance(node, ast.Expr) for node in rest), f"{path} does more than hand on names"


def test_the_public_names():
    """Typed names and lazy names are the same list, and each is what it says."""
    tree = ast.parse(Path(intrinsic.__file__).read_text())
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    assert {alias.name: node.module for node in typed.body for alias in node.names} == HOME
    for name in intrinsic.__all__:
        assert getattr(intrinsic, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = intrinsic.Nothing


def underscored(path):
    """The names with an underscore that a file reads: attributes, imports, and methods and texts of those names."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Attribute):
            yield node.attr, ast.unparse(node.value) in ("self", "cls", "super()")
        elif isinstance(node, ast.FunctionDef):
            yield node.name, True
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, True


def test_no_module_reads_what_another_class_keeps_to_itself():
    """What begins with an underscore is read in the file that sets it; of other libraries in one file each."""
    theirs = {name for names in NAMES.values() for name in names}
    for path in FILES:
        found = [(name, own) for name, own in underscored(path) if re.fullmatch(r"_[a-zA-Z]\w*", name)]
        allowed = of_file(path.as_posix())
        assert not {name for name, _ in found} & theirs - allowed, f"{path}: another library's, which has one file"
        set_here = {name for name, own in found if own}
        assert not {name for name, own in found if not own} - set_here - PUBLIC - allowed, f"{path}: of another file"


def test_no_module_imports_a_private_module_of_another_library():
    for path in FILES:
        private = [
            name for name in imports(path) if re.match(r"(torch|transformers|accelerate|numba)\b.*\._[a-z]", name)
        ]
        assert not private or path.as_posix() in FILE.values(), f"{path}: {private}"
