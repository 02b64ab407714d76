"""The layers: imports go down the page only, and heavy packages stay where they are used."""

import ast
from pathlib import Path

import pytest
from conftest import CONF, names

import intrinsic

ROOT = CONF.parent
# top to bottom: a module may import what stands before it
ORDER = [
    "printable",
    "errors",
    "at_most",
    "turns",
    "patterns",
    "files",
    "expanded",
    "checks",
    "check_memory",
    "read_json",
    "quoted",
    "say",
    "lasting_output",
    "command",
    "lock",
]
ORDER += ["rng", "hadamard", "added", "wrapper"]
ORDER += ["attention", "gated_prefix", "reparametrised_prefix", "attention_sites"]
ORDER += ["inject", "twin", "int8", "quantization", "low_rank", "adapted", "adapter_places"]
ORDER += ["projections", "spaces", "check_model", "places", "substitution", "recurrent", "alone"]
ORDER += ["scales", "flat", "displacement", "merge", "hosted", "fingerprint"]
ORDER += ["subspace", "replicas", "models", "data", "course", "linear_warmup", "training", "fit_replicas"]
ORDER += ["records", "settled", "check_fit", "recipe", "checkpoint", "rows", "mixture", "bank", "peft", "threshold"]
FILES = sorted(path.relative_to(ROOT) for path in (ROOT / "intrinsic").rglob("*.py") if path.name != "__init__.py")
PROGRAMS = [path.relative_to(ROOT) for part in ("experiments", "analysis") for path in (ROOT / part).glob("*.py")]


def imports(path, *, top_level=False):
    """The modules that a file imports, as full names."""
    tree = ast.parse((ROOT / path).read_text())
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def configured(package):
    """Modules that config files name: the siblings, which never meet; what they share has no config file."""
    group = {"projections": "projection", "spaces": "space", "models": "model", "data": "dataset"}.get(package)
    return set(names(group)) if group else set()


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_down(path):
    place = path.parts[1].removesuffix(".py")
    for name in imports(path):
        parts = name.split(".")
        if parts[0] in ("hydra", "omegaconf", "experiments", "analysis"):
            pytest.fail(f"{path} imports {name}: the library knows no program")
        if parts[0] != "intrinsic" or len(parts) == 1 or parts[1] not in ORDER:
            continue
        if parts[1] == place:
            if len(path.parts) == 3 and len(parts) > 2:
                assert parts[2] not in configured(place), f"{path} imports its sibling {name}"
        else:
            assert ORDER.index(parts[1]) < ORDER.index(place), f"{path} imports {name}"


def test_every_module_of_the_library_has_its_place():
    assert {path.parts[1].removesuffix(".py") for path in FILES} == set(ORDER)


@pytest.mark.parametrize("path", PROGRAMS, ids=str)
def test_analysis_and_experiments_do_not_meet(path):
    other = "analysis" if path.parts[0] == "experiments" else "experiments"
    assert not [name for name in imports(path) if name.split(".")[0] == other]
    if path.parts[0] == "analysis":
        assert not [name for name in imports(path) if name.split(".")[0] == "torch"]


def test_experiments_have_no_import_cycles():
    graph = {
        path.stem: {name.split(".")[1] for name in imports(path) if name.startswith("experiments.")}
        for path in PROGRAMS
        if path.parts[0] == "experiments"
    }
    while graph:
        leaves = {module for module, used in graph.items() if not used & graph.keys()}
        assert leaves, f"a cycle among {sorted(graph)}"
        graph = {module: used for module, used in graph.items() if module not in leaves}


def test_files_stay_short():
    long = {str(path): n for path in [*FILES, *PROGRAMS] if (n := len((ROOT / path).read_text().splitlines())) > 220}
    assert not long, "split what has grown beyond one thing"


def test_the_public_names():
    """Typed names and lazy names are the same list, and each is what it says."""
    tree = ast.parse(Path(intrinsic.__file__).read_text())
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {alias.name: node.module for node in typed.body for alias in node.names}
    assert declared == {name: f"intrinsic.{home}" for name, home in intrinsic._HOME.items()}
    for name in intrinsic.__all__:
        assert getattr(intrinsic, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = intrinsic.Nothing
