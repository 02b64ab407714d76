"""Compiled kernels on disk: damaged, not to be written, written by several processes at once."""

import os
import re
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest

import intrinsic
from intrinsic.projections.kernels import cache
from intrinsic.projections.kernels.cache import Cache
from intrinsic.projections.kernels.compile_ahead import compile_kernels

SOURCE = "def double(x):\n    return x * {}\n"
PRODUCT = """
import warnings, torch, intrinsic
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    projection, z = intrinsic.OneHot(9, 31, seed=3), torch.linspace(-1, 1, 9)
    torch.testing.assert_close(projection(z), projection.matvec(z))
from intrinsic.projections.kernels.select import select
assert select(intrinsic.OneHot, z).__name__.endswith("onehot_cpu")
print([str(w.message) for w in found if w.category is RuntimeWarning])
"""
loaded = []  # a cached function that no module has is found by what was compiled before, as long as that is there


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(Cache, "warned", False)
    monkeypatch.setattr(Cache, "said", False)
    return tmp_path


def load(folder, factor=2):
    """The function as a new process would see it."""
    path = folder / "double.py"
    path.write_text(SOURCE.format(factor))
    names = {"__name__": "double"}
    exec(compile(path.read_text(), str(path), "exec"), names)  # noqa: S102
    function = numba.njit(names["double"])
    Cache.serve(function)
    loaded.append(function)
    return function


def hits(function):
    return sum(function.stats.cache_hits.values())


def kept(folder):
    return [path for path in (folder / "cache").rglob("*") if path.is_file()]


def test_what_is_compiled_is_found_again(folder, capsys):
    assert load(folder)(3) == 6
    assert capsys.readouterr().err == "compiling kernels, once: it may take a minute\n"  # why it waits
    again = load(folder)
    assert (again(3), hits(again)) == (6, 1)
    assert capsys.readouterr().err == ""
    assert (again(1.5), hits(again)) == (3.0, 1)  # another type has files of its own
    assert len(kept(folder)) == 2


def _flipped(content):
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda _: b"\x80garbage" * 9, lambda content: content[: len(content) // 2], _flipped],
    ids=["empty", "garbage", "truncated", "flipped"],
)
def test_what_is_damaged_is_compiled_anew(damage, folder):
    assert load(folder)(3) == 6
    (path,) = kept(folder)
    path.write_bytes(damage(path.read_bytes()))
    again = load(folder)
    assert (again(3), hits(again)) == (6, 0)
    third = load(folder)
    assert (third(3), hits(third)) == (6, 1)


def test_code_of_other_sources_is_not_taken(folder, monkeypatch):
    assert load(folder)(3) == 6
    again = load(folder, 5)
    assert (again(3), hits(again)) == (15, 0)
    monkeypatch.setattr(cache, "_sources", lambda: "those of a later version")
    third = load(folder, 5)
    assert (third(3), hits(third)) == (15, 0)


def test_where_nothing_can_be_written_one_warning_says_so(folder):
    functions = [load(folder) for _ in range(2)]
    shutil.rmtree(folder / "cache")
    (folder / "cache").write_text("no folder")
    with pytest.warns(RuntimeWarning, match=r"compiled kernels cannot be kept \(.*\): .* set NUMBA_CACHE_DIR") as found:
        assert [function(3) for function in functions] == [6, 6]
    assert len(found) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert functions[0](np.float32(1.5)) == 3.0  # another compilation: told once, and not tried again


def test_a_full_disk_costs_nothing_but_time(folder, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache._Checked, "save", full)
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        assert load(folder)(3) == 6


@pytest.mark.parametrize(("name", "line"), [("OneHot", r"OneHot: \d+\.\d s"), ("Identity", "Identity: has no kernels")])
def test_kernels_are_compiled_ahead(name, line):
    assert re.fullmatch(line, compile_kernels(name))


@pytest.mark.nightly
def test_processes_that_compile_at_once(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(_run, environment) for _ in range(2)]
    assert [run.result() for run in runs] == ["[]\n"] * 2
    assert _run(environment) == "[]\n"


@pytest.mark.nightly
def test_without_a_home_in_a_folder_that_cannot_be_written(tmp_path):
    shutil.copytree(
        os.path.dirname(intrinsic.__file__), tmp_path / "intrinsic", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "intrinsic" / "projections" / "kernels" / "__pycache__").write_text("no folder")  # for root, too
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA_", "XDG_"))}
    environment |= {"HOME": "/dev/null", "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    found = _run(environment, cwd=tmp_path)
    assert found.startswith('["compiled kernels cannot be kept (cannot cache function')
    assert found.count("cannot be kept") == 1


def _run(environment, **options):
    found = subprocess.run(
        [sys.executable, "-c", PRODUCT], env=environment, capture_output=True, text=True, check=False, **options
    )
    assert found.returncode == 0, found.stderr
    return found.stdout
