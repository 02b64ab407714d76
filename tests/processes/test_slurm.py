"""Slurm's launcher against a stand-in for Slurm's commands, which runs what it is given on this machine."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.support.configs import ROOT

SBATCH = """#!{python}
import os, re, subprocess, sys
text = open(sys.argv[-1]).read()
open({log!r}, "a").write(text)
array = re.search("--array=0-([0-9]+)%", text)
print("Submitted batch job 7", flush=True)
for index in range(int(array[1]) + 1) if array else [None]:
    given = dict(SLURM_JOB_ID="7", SLURM_NTASKS="1", SLURM_JOB_NUM_NODES="1", SLURM_NODEID="0")
    given |= dict(SLURM_PROCID="0", SLURM_LOCALID="0", SLURM_JOB_NODELIST="here")
    if index is not None:
        given |= dict(SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID=str(index))
    null = subprocess.DEVNULL
    subprocess.Popen(["bash", sys.argv[-1]], env=os.environ | given, stdin=null, stdout=null, stderr=null)
"""
SRUN = """#!{python}
import os, sys
command = sys.argv[1:]
while command[0].startswith("-"):
    command = command[2 if command[0] in ("--output", "--error") else 1 :]
os.execvp(command[0], command)
"""
SACCT = """#!{python}
print("JobID|State|NodeList")
for index in range({jobs}):
    print(f"7_{{index}}|RUNNING|here")
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Puts the stand-ins on the path; returns the file with the scripts that were submitted."""
    folder, log = tmp_path / "bin", tmp_path / "submitted.sh"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT)):
        (folder / name).write_text(text.format(python=sys.executable, log=str(log), jobs=3))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return log


@pytest.mark.slow
def test_a_sweep_is_one_array(slurm, tmp_path):
    command = "-m hydra/launcher=submitit_slurm hydra.launcher.width=2 hydra.launcher.parameters.slurm_partition=small "
    command += "hydra.launcher.parameters.timeout_min=90 hydra.launcher.parameters.gpus_per_node=1 "
    command += "init=scratch dataset.fraction=0.2 epochs=2 device=cpu rank=1,2,3"
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *command.split(), f"output={tmp_path / 'out'}"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert not re.sub(r"\d of 3 jobs ended, \d under way\n", "", done.stderr)  # said on a slow machine
    script = slurm.read_text()
    for line in ("array=0-2%2", "partition=small", "time=90", "gpus-per-node=1", "cpus-per-task=2", "mem=8GB"):
        assert f"\n#SBATCH --{line}\n" in script
    found = [json.loads(path.read_text()) for path in tmp_path.glob("out/default/*/record.json")]
    assert sorted(record["config"]["rank"] for record in found) == [1, 2, 3]
    assert {record["config"]["threads"] for record in found} == {2}
    assert [line.split()[0] for line in done.stdout.splitlines()[-3:]] == ["1", "2", "3"]
