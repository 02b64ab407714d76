"""What a command imports: its start is short."""

import subprocess
import sys

import pytest

from tests.support.commands import run
from tests.support.configs import ROOT

MODULES = "import runpy, sys\ntry:\n runpy.run_path({path!r}, run_name='__main__')\nfinally:\n print(*sys.modules)\n"


def modules(output, *arguments):
    """The modules that a command has imported when it ends."""
    program = MODULES.format(path=str(ROOT / "run.py"))
    done = subprocess.run(
        [sys.executable, "-c", program, f"output={output}", "study=imports", "threads=1", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=600,
    )
    return done.stdout, set(done.stdout.splitlines()[-1].split())


@pytest.mark.slow
def test_heavy_packages_are_imported_only_where_they_are_used(output):
    text, loaded = modules(output, "--help")
    assert "method: adapter, bitfit, film, fourierft, full, head, " in text
    assert not loaded & {"torch", "scipy", "sklearn", "pandas", "matplotlib", "wandb", "transformers"}
    assert run("study=imports threads=1", output) == 0
    text, loaded = modules(output, "epochs=1", "init.source.epochs=1")
    assert "skipped: already there" in text
    assert not loaded & {"torch", "scipy", "sklearn", "pandas", "matplotlib", "wandb", "transformers"}
    text, loaded = modules(output, "init=scratch", "method=subspace", "dim=10", "epochs=1")
    assert "torch" in loaded
    assert not loaded & {"sklearn", "pandas", "matplotlib", "wandb", "transformers", "torch._dynamo.config"}
