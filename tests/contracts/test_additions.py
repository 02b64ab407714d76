"""What it costs to add a part: one file and one YAML, as two pages of docs show them, and at most a row.

One of each kind goes into a copy of the repository, and the contract tests of the new names pass there, with nothing
else edited. The examples are taken from the texts as they stand there.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.support.configs import ROOT
from tests.support.pages import blocks, files_of

PAGES = ("docs/tutorials/own_projection.md", "docs/guides/adding.md")
TABLES = ("docs/methods/index.md", "docs/INSIDE.md")  # where the row of each page goes
ABOVE = ("| [`onehot`](onehot.md) | O(D) |", "| Which rank, ")  # the row that it follows
COPIED = ("conf", "intrinsic", "experiments", "hydra_plugins", "analysis", "benchmarks", "tests")
FILES = ("README.md", "run.py", "pyproject.toml", "docs/methods/families.md", *TABLES)
ADDED = ("cyclic", "matrices", "deep_linear", "spirals", "rmsprop", "staircase", "agreement")
PLACES = (  # where a contract is held for every file of a group
    "tests/contracts",
    "tests/benchmarks/test_benchmarks.py",
    "tests/experiments/test_added.py",
    "tests/intrinsic/projections/test_displace.py",
    "tests/intrinsic/subspace/test_stream.py",
    "tests/intrinsic/training/test_replicas.py",
)
TOGETHER = '''"""All additions in one run, and the figure of it."""

from analysis.agreement import agreement
from tests.support.commands import run

WORDS = "model=deep_linear dataset=spirals init=scratch method=subspace space=matrices projection=cyclic dim=20"


def test_all_that_was_added_runs_together(surroundings, tmp_path):
    assert run(f"{WORDS} optim=rmsprop schedule=staircase study=added", tmp_path / "out") == 0
    assert agreement(tmp_path / "out" / "added").paths[0].read_bytes()
'''


def with_row(page, table, above):
    """The table's page with the row that the other page shows."""
    (row,) = [block.text for block in blocks(page, "markdown") if block.text.startswith("|")]
    text = (ROOT / table).read_text()
    (line,) = [line for line in text.splitlines(keepends=True) if line.startswith(above)]
    return text.replace(line, line + row)


@pytest.fixture
def copied(tmp_path):
    """The repository, with what both texts add."""
    home = tmp_path / "copied"
    for name in COPIED:
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("*.pyc"))
    for name in FILES:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, home / name)
    for path, content in files_of(*PAGES).items():
        assert not (home / path).exists()
        (home / path).write_text(content)
    for page, table, above in zip(PAGES, TABLES, ABOVE, strict=True):
        (home / table).write_text(with_row(page, table, above))
    (home / "tests" / "experiments" / "test_added.py").write_text(TOGETHER)
    return home


def test_there_is_an_example_of_each_kind():
    stems = {path.rpartition("/")[2].partition(".")[0] for path in files_of(*PAGES)}
    assert stems == set(ADDED)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_added_passes_the_contract_tests(copied):
    others = "added or only_things or every_room or every_projection_is"
    chosen = f"({' or '.join(ADDED)} or {others}) and not (gpt2 or llama or t5 or roberta)"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", chosen]
    command += ["--ignore=tests/contracts/test_additions.py", *PLACES]
    environment = {**os.environ, "PYTHONPATH": str(copied), "INTRINSIC_KERNELS": "torch"}  # nothing is compiled anew
    done = subprocess.run(command, cwd=copied, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert int(re.search(r"(\d+) passed", done.stdout).group(1)) > 100
