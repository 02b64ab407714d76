"""What a stranger's config says to Hydra: nothing of it is called, read, set or written."""

import os
import pickle
import re
import sys

import pytest

from tests.support.commands import QUICK, assert_one_line

pytestmark = pytest.mark.usefixtures("surroundings")

HEAD = "# @package _global_\n"
TOUCH = "{_target_: joblib.load, filename: PICKLE}"


class Touch:
    """A pickle that makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def theirs(tmp_path):
    """Writes an experiment file into a folder of configs, and returns that folder."""
    (tmp_path / "evil.pickle").write_bytes(pickle.dumps(Touch(tmp_path / "touched")))

    def write(content, name="experiment/theirs.yaml", head=HEAD):
        path = tmp_path / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + content.replace("PICKLE", f"{tmp_path}/evil.pickle").replace("TMP", str(tmp_path)))
        return tmp_path / "conf"

    yield write
    assert not (tmp_path / "touched").exists()


LOGGED = "version: 1, root: {level: INFO, handlers: [h]}, disable_existing_loggers: false"
WRITER = "handlers: {h: {class: logging.FileHandler, filename: TMP/touched}}"
CALLER = "handlers: {h: {'()': joblib.load, filename: PICKLE}}"
LOCAL = "defaults: [{override /hydra/launcher: submitit_local}]\nhydra: {mode: MULTIRUN, launcher: "

# an experiment file, what its line must say
EXPERIMENTS = [
    (f"hydra: {{callbacks: {{x: {TOUCH}}}}}", "hydra.callbacks is refused, got .*joblib.load.*: leave it empty"),
    (f"evil: {TOUCH}\nhydra: {{callbacks: {{x: '${{evil}}'}}}}", "hydra.callbacks is refused"),
    (f"hydra: {{job_logging: {{{LOGGED}, {WRITER}}}}}", "hydra/job_logging is refused"),
    (f"hydra: {{job_logging: {{{LOGGED}, {CALLER}}}}}", "hydra/job_logging is refused"),
    (f"hydra: {{hydra_logging: {{{LOGGED}, {CALLER}}}}}", "hydra/hydra_logging is refused"),
    ("hydra: {job: {env_set: {LD_PRELOAD: TMP/x}}}", "hydra.job.env_set is refused, got {'LD_PRELOAD': .*leave it"),
    ("hydra: {job: {env_copy: [HOME]}}", "hydra.job.env_(set|copy) is refused"),
    ("hydra: {job: {env_copy: [NOWHERE_SET]}}", "no environment variable 'NOWHERE_SET': leave"),
    ("evil: {env_set: {A: b}}\nhydra: {job: '${evil}'}", "str is not a subclass of JobConf"),
    ("hydra: {run: {dir: TMP/touched}}", "hydra.run is fixed: output= and study= say where runs lie"),
    ("hydra: {mode: MULTIRUN, sweep: {dir: TMP/touched}}", "hydra.sweep is fixed"),
    ("hydra: {mode: MULTIRUN, sweep: {subdir: ../../touched}}", "hydra.sweep is fixed"),
    ("hydra: {output_subdir: ../touched}", "hydra.output_subdir is fixed"),
    ("hydra: {searchpath: [pkg://this]}", "hydra.searchpath .*"),
    ("study: ../../touched\nhydra: {mode: MULTIRUN}", "need a folder as output and a plain name as study"),
    (f"hydra: {{mode: MULTIRUN, sweeper: {TOUCH}}}", "hydra.sweeper is refused, with _target_=joblib.load: need"),
    ("hydra: {mode: MULTIRUN, launcher: {_target_: joblib.load}}", "hydra.launcher is refused, with _target_=joblib"),
    ("hydra: {launcher: {_target_: hydra_plugins._sweep_job.Task}}", "hydra.launcher is refused, with _target_=hydra"),
    ("hydra: {sweeper: {_target_: hydra_plugins.joblib_launcher.JoblibLauncher}}", "hydra.sweeper is refused"),
    (f"hydra: {{mode: MULTIRUN, sweeper: {{params: {{a: {TOUCH}}}}}}}", "_target_ is refused inside hydra.sweeper"),
    (f"evil: {TOUCH}\nhydra: {{mode: MULTIRUN, sweeper: {{params: {{a: '${{evil}}'}}}}}}", "_target_ is refused"),
    ("hydra: {sweeper: {_recursive_: true}}", "_recursive_ is refused inside hydra.sweeper: need plain values"),
    (f"{LOCAL}{{parameters: {{local_setup: [mkdir TMP/touched]}}}}}}", "local_setup is taken from the command line or"),
    (f"{LOCAL}{{parameters: {{setup: [mkdir TMP/touched]}}}}}}", "parameters.setup is taken from the command line"),
    (f"{LOCAL}{{folder: TMP/touched}}}}", "hydra.launcher.folder is taken from the command line or conf"),
    (f"{LOCAL}{{parameters: {{a: {TOUCH}}}}}}}", "_target_ is refused inside hydra.launcher: need plain values"),
    ("defaults: [{override /hydra/launcher: ray}]\nhydra: {launcher: {address: 'ray://evil:1'}}", "address is taken"),
    ("rank: !!python/object/apply:os.mkdir [TMP/touched]", "is not YAML: could not determine a constructor"),
    ("rank: [", "a file of the config is not YAML: "),
    ("hydra: {verbose: 5}", "need hydra.verbose=true or false, got hydra.verbose=5"),
    # what reads the machine
    ("study: '${oc.env:HOME}'", r"\$\{oc.env:HOME\} is refused: a config reads nothing of the machine, give the value"),
    ("rank: '${oc.decode:${oc.env:HOME}}'", r"\$\{oc.env:HOME\} is refused"),
    ("name: oc.env\nstudy: '${${name}:HOME}'", r"\$\{oc.env:HOME\} is refused"),
    ("rank: '${hydra:runtime.cwd}'", r"\$\{hydra:runtime.cwd\} is refused: a config reads nothing of the machine"),
    ("rank: '${hydra.runtime.cwd}'", "Interpolation key 'hydra.runtime.cwd' not found"),
    ("study: '${python_version:}'", r"\$\{python_version:.*\} is refused"),
    ("defaults: [{override /model: '${oc.env:HOME}'}]", "Error resolving interpolation"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "match"), EXPERIMENTS, ids=[content for content, _ in EXPERIMENTS])
def test_an_experiment_of_a_stranger(refused, theirs, content, match):
    refused(f"--config-dir={theirs(content)} {QUICK} experiment=theirs", match)


@pytest.mark.parametrize(
    ("command", "match"),
    [
        ("+hydra.callbacks.x._target_=joblib.load", "hydra.callbacks is refused"),
        ("+hydra.job.env_set.A=b", "hydra.job.env_set is refused"),
        ("hydra.run.dir=elsewhere", "hydra.run is fixed"),
        ("-m hydra.sweep.dir=elsewhere rank=1,2", "hydra.sweep is fixed"),
        ("-m hydra.output_subdir=.hydra rank=1,2", "hydra.output_subdir is fixed"),
        (
            "hydra.searchpath=[pkg://this]",
            "hydra.searchpath is refused: name one more .* by --config-dir",
        ),
        ("hydra/job_logging=default", "hydra/job_logging is refused: need hydra/job_logging=disabled"),
        ("-m study=../x rank=1,2", "need a folder as output and a plain name as study"),
        ("--experimental-rerun=evil.pickle", "--experimental-rerun is refused: it reads a pickle"),
        ("--experimental-re evil.pickle", "--experimental-rerun is refused"),
        ("study=${oc.env:HOME}", r"\$\{oc.env:HOME\} is refused"),
    ],
)
def test_a_command(refused, command, match):
    refused(command, match)


OWN_LAUNCHER = """
_target_: hydra_plugins.submitit_launcher.SubmititLauncher
cluster: local
width: 1
folder: TMP/touched
parameters: {}
"""


def test_a_launcher_and_a_primary_config_of_a_stranger(refused, theirs):
    theirs("_target_: joblib.load\nfilename: PICKLE\n", "hydra/launcher/evil.yaml", head="")
    folder = theirs(OWN_LAUNCHER, "hydra/launcher/own.yaml", head="")
    refused(f"-m --config-dir={folder} hydra/launcher=evil rank=1,2", "hydra.launcher is refused, with _target_=joblib")
    refused(f"-m --config-dir={folder} hydra/launcher=own rank=1,2", "hydra.launcher.cluster is taken from the command")
    theirs("defaults: [config]\nhydra: {searchpath: ['pkg://this']}\n", "primary.yaml", head="")
    refused(f"--config-dir={folder} --config-name=primary", "hydra.searchpath is refused")
    assert "this" not in sys.modules


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_what_a_sweep_composes_for_each_job_is_checked_too(program, theirs, tmp_path, launcher):
    folder = theirs(f"hydra: {{job_logging: {{{LOGGED}, {CALLER}}}}}")
    command = f"--config-dir={folder} {QUICK} -m experiment=theirs,null hydra/launcher={launcher} study=swept"
    status, _, err = program(command, tmp_path / "out")
    assert_one_line(err, "hydra/job_logging is refused")
    assert status == 2


def test_what_stays_allowed(program, theirs, tmp_path):
    """An experiment of one's own, a launcher's texts from the command line, choices and numbers of jobs."""
    theirs("rank: 2\nstudy: ${hydra:runtime.choices.method}_${model.width}\n")
    local = "defaults: [{override /hydra/launcher: submitit_local}]\nhydra: {launcher: {width: 1}}"
    folder = theirs(local, "experiment/own.yaml")
    status, out, _ = program(f"--config-dir={folder} {QUICK} experiment=theirs", tmp_path / "out")
    assert status == 0
    assert re.search(r"lora rank=2 seed=0 .*/out/lora_64/", out)
    setup = "'+hydra.launcher.parameters.local_setup=[true]'"
    status, out, _ = program(f"--config-dir={folder} experiment=own --cfg=hydra {setup}", tmp_path / "out")
    assert status == 0
    assert re.search(r"local_setup:\s+- true", out)
