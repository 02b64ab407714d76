"""Sweeps as their users run them, and what they leave."""

import json
import os
import re
import subprocess
import sys

from tests.support.commands import here
from tests.support.configs import ROOT

GRID = ["init=scratch", "dataset.fraction=0.2", "threads=1", "epochs=5", "rank=1,2,3"]
OWN = {"seconds", "started_at", "peak_memory_bytes", "output", "study", "environment"}  # of a process, not of a run
# a run that finds the file named by $DEADLY removes it, and then dies as one does that is out of memory
DIE = """
import os, signal, sys
def mortal(*args, **options):
    for epoch in fit(*args, **options):
        yield epoch
        try:
            os.remove(os.environ["DEADLY"])
        except FileNotFoundError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)
if any(name in " ".join(sys.orig_argv) for name in ("popen_loky_posix", "submitit.core._submit", "default_worker.py")):
    import intrinsic.training.fit as t
    import intrinsic.training.fit_replicas as r
    fit, t.fit = (r.fit_replicas, t.fit) if os.environ.get("TOGETHER") else (t.fit, mortal)
    r.fit_replicas = mortal if os.environ.get("TOGETHER") else r.fit_replicas
"""


def command(output, *arguments):
    return [sys.executable, str(ROOT / "run.py"), "-m", f"output={output}", *GRID, *arguments]


def run(output, *arguments, cwd=None, **environment):
    """A sweep that has ended; without the lines that say, on a slow machine, that it is under way."""
    done = subprocess.run(
        command(output, *arguments),
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
        env={**os.environ, **environment},
    )
    done.stderr = re.sub(r"\d of \d jobs ended, \d under way\n", "", done.stderr)
    return done


def run_here(output, *arguments):
    """The exit status of a sweep by the basic launcher in this process, whose start takes longer than what it does."""
    return here(*command(output, *arguments)[1:])


def records(output):
    """The numbers of all runs by rank."""
    found = [json.loads(path.read_text()) for path in output.glob("default/*/record.json")]
    return {record["config"]["rank"]: timeless(record) for record in found}


def timeless(node):
    if isinstance(node, dict):
        return {key: timeless(value) for key, value in node.items() if key not in OWN}
    return [timeless(value) for value in node] if isinstance(node, list) else node


def rows(printed):
    """The cells of the table by rank."""
    return {int(line.split()[0]): line.split()[1:] for line in printed.splitlines()[-3:]}
