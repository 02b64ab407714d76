"""Every bad input ends in one line that names rule, value and remedy, with exit status 2, and leaves nothing behind."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from tests.support.commands import QUICK, assert_one_line, words
from tests.support.configs import files

pytestmark = pytest.mark.usefixtures("surroundings")

LISTED = r"(did you mean '\w+'\?|need one of [\w, ]+|there is none)$"

# a command (epochs=1, and one epoch of pretraining), and what its line must say
COMMANDS = [
    # methods and their knobs
    ("rank=0", "need an integer rank >= 1, got rank=0"),
    ("rank=abc", "need an integer rank >= 1, got rank='abc'"),
    ("rank=2.5", "need an integer rank >= 1, got rank=2.5"),
    ("space.rslora=abc", "need rslora to be true or false, got rslora=abc"),
    ("method=subspace dim=-1", "need 0 < dim <= full_dim, got dim=-1, full_dim=[0-9]+"),
    ("method=subspace dim=0", "need 0 < dim <= full_dim, got dim=0"),
    ("method=subspace dim=abc", "need an integer dim, got dim='abc'"),
    ("method=subspace dim=99999999", "need 0 < dim <= full_dim, got dim=99999999, full_dim=[0-9]+"),
    ("method=subspace rank=4", "rank is not a knob of method=subspace: it belongs to space=lora"),
    ("method=lora dim=3", "dim is not a knob of method=lora: it belongs to .*projection=fastfood"),
    ("method=full rank=1", "rank is not a knob of method=full: it belongs to space=lora"),
    (
        "-m method=subspace,said dim=9",
        r"dim is not a knob of method=lora: .*; if the swept ones have it, write 'dim=choice\(9\)'$",
    ),
    ("method=full +rank=1", r"cannot take \+rank=1: keys can be set, not added or removed"),
    ("method=subspace granularity=xyz", "need granularity=global, tensor or block, got granularity=xyz"),
    ("method=subspace granularity=block dim=2", "needs a coordinate for each of 6 tensors, got dim=2"),
    ("method=said dim=2", "scales=layer takes 3 of dim: need 3 < dim < [0-9]+, got dim=2"),
    ("method=said dim=abc", "need an integer dim, got dim='abc'"),
    ("head=xyz", "need head=project, train or freeze, got head=xyz"),
    ("space.targets=hidden.7", r"targets='hidden.7' matches no Linear .* of MLP: did you mean 'hidden.1'\?"),
    ("space.targets=\"'('\"", r"'\(' is not a regular expression: missing \)"),
    ("space.targets=[]", "targets is empty: name at least one module, or use all-linear"),
    ("space.targets=5", "need targets as a name or a list of names, or all-linear, got targets=5"),
    ("method=head space.name=5", "need name as the name of a module or null, got name=5"),
    ("method=subspace space.select=5", "need select as a regular expression or null, got select=5"),
    ("dataset=toy model=sums method=bitfit init=scratch", "needs biases, Sums has none: use space=norms or lora"),
    # names that do not exist
    ("+init.epochs=1", "init.source has no key epochs: need batch_size, dataset, epochs, optim, seed"),
    ("+init.source.l2_weights=1", "init.source has no key l2_weights: need batch_size"),
    ("method=nola projection=identity granularity=block", "granularity does nothing with projection=identity"),
    ("dataset=mnistt", r"there is no dataset=mnistt: did you mean 'mnist'\?"),
    ("method=subspce", r"there is no method=subspce: did you mean 'subspace'\?"),
    ("model=resnet", r"there is no model=resnet: did you mean 'resnet20'\?"),
    ("method=subspace projection=fastfod", r"there is no projection=fastfod: did you mean 'fastfood'\?"),
    ("optim=adma", r"there is no optim=adma: did you mean 'adam'\?"),
    ("experiment=lenet_mnist", f"there is no experiment=lenet_mnist: {LISTED.replace('w', 'w/')}"),
    (
        "experiment=nobody2000/lenet_mnist",
        f"there is no experiment=nobody2000/lenet_mnist: {LISTED.replace('w', 'w/')}",
    ),
    ("method=null", "need a name for each of dataset, .* method, .* got method=null$"),
    ("sed=1", r"there is no key 'sed' in this configuration: did you mean 'seed'\?"),
    ("dataset.rotat=90", r"there is no key 'dataset.rotat' in this configuration: did you mean 'rotate'\?"),
    ("++foo=1", r"cannot take \+\+foo=1: keys can be set, not added or removed; python run.py --help lists them"),
    ("~lr", "cannot take ~lr: keys can be set, not added or removed"),
    ("rank=${foo}", "Interpolation key 'foo' not found full_key: rank"),
    # what is no override
    ("rank=[1", r"no viable alternative at input '\[1'"),
    ("rank", "Error parsing override 'rank' missing EQUAL"),
    ("=3", "need a name for each of dataset, .* got =3$"),
    ("rank=1,2", r"Ambiguous value for argument 'rank=1,2'.* add --multirun"),
    ("--foo", "unrecognized arguments: --foo: .* python run.py --help lists all"),
    ("-m rank=interval(1,3)", "BasicSweeper does not support sweep type : INTERVAL_SWEEP"),
    ("-m rank=1,2 foo=3", "there is no key 'foo' in this configuration: need one of base, batch, batch_size, "),
    # code named by a config
    ("model._target_=os.system", "_target_=os.system is refused as model: need a name in intrinsic.models"),
    ("model._target_=builtins.eval", "_target_=builtins.eval is refused as model: need a name in intrinsic.models"),
    ("model._target_=subprocess.run", "_target_=subprocess.run is refused as model"),
    ("model._target_=intrinsic.models.mlp.math.prod", "there is no module intrinsic.models.mlp.math"),
    ("model._target_=experiments.run.job.os.system", "os.system is refused as model: need a name in intrinsic.models"),
    ("model._target_=intrinsic.LoRA", "LoRA is refused: intrinsic defines nothing for model"),
    ("space._target_=intrinsic.models.mlp.MLP", "mlp.MLP is refused as space: need a name in intrinsic.spaces"),
    ("optim._target_=torch.load", "_target_=torch.load is refused as optim: need a name in torch.optim"),
    ("model._target_=intrinsic.models.mlp.pairwise", "mlp.pairwise is refused: intrinsic.models.mlp defines MLP"),
    ("model._target_=intrinsic.models.mlp.MPL", "mlp.MPL is refused: intrinsic.models.mlp defines MLP"),
    ("model._target_=intrinsic.models.nope.MLP", "there is no module intrinsic.models.nope"),
    ("model._partial_=false", r"MLP is called later, with input_shape, num_outputs: need _partial_=true"),
    ("+model.foo=1", r"intrinsic.models.mlp.MLP has no argument 'foo': did you mean 'dropout'\?"),
    ("+space.foo=1", "intrinsic.spaces.lora.LoRA has no argument 'foo'"),
    ("+subspace.foo=1", "intrinsic.subspace.Subspace has no argument 'foo'"),
    # numbers
    ("epochs=0", "need an integer epochs >= 1, got epochs=0"),
    ("epochs=abc", "need an integer epochs >= 1, got epochs='abc'"),
    ("batch_size=0", "need an integer batch_size >= 1, got batch_size=0"),
    ("patience=0", "need an integer patience >= 1, got patience=0"),
    ("l2_weights=-1", "need a finite l2_weights >= 0, got l2_weights=-1"),
    ("seed=-1", "need an integer seed >= 0, got seed=-1"),
    ("seed=abc", "need an integer seed >= 0, got seed='abc'"),
    ("lr=-1", r"Adam\(lr=-1, .* is refused: Invalid learning rate: -1"),
    ("lr=abc", r"Adam\(lr='abc', .* is refused: .* instances of 'float' and 'str'"),
    ("optim.betas=[2,3]", r"Adam\(.*betas=\[2, 3\].* is refused: Invalid beta parameter at index 0: 2"),
    ("optim.betas=[0.9]", r"Adam\(.*betas=\[0.9\].* is refused: list index out of range"),
    ("schedule=cosine schedule.T_max=0", "CosineAnnealingLR cannot take a step with {'T_max': 0}: .* by zero"),
    ("init.source=5", "need init.source as keys, with keys of a dataset among them, got init.source=5"),
    # datasets and models that do not fit
    ("dataset.rotate=abc", "need rotate as a finite number of degrees, got rotate='abc'"),
    ("dataset.fraction=0", "need 0 < fraction <= 1, got fraction=0"),
    ("dataset=toy model=sums method=subspace", "needs a dataset with the knob rotate, .* use init=scratch"),
    ("model=lenet", r"LeNet: need images .* of at least 16 x 16 pixels, got \(1, 8, 8\): use model=mlp"),
    ("model=vit model.patch=3", r"ViT: need images .* divisible by patch=3, got \(1, 8, 8\): use another patch"),
    # what does not change a run's id: under another study, or the finished run would be skipped
    ("study=fresh device=nonsense", r"device=nonsense cannot be used \(.*\): use device=auto"),
    ("study=fresh device=meta", r"device=meta cannot be used \(.*\): use device=auto"),
    ("study=fresh device=null", "need device to be auto, cpu, cuda or .*, got device=None"),
    (
        "study=fresh threads=0",
        r"need an integer threads from 1 to \d+, got threads=0: use null for as many as torch chooses",
    ),
    ("study=fresh checkpoint_seconds=abc", "need checkpoint_seconds to be a number >= 0, got checkpoint_seconds=abc"),
    ("study=fresh logger=wandb logger.mode=xyz", "need logger.mode=online, offline, .*, got logger.mode=xyz"),
    ("study=fresh logger=wandb logger.mode=online", "W&B refuses .*mode=online: No API key configured"),
    ("study=fresh logger=wandb logger.mode=offline logger.project=[1]", r"W&B refuses project=\[1\] .* valid string"),
    # replicas
    ("study=fresh replicas=4", "replicas are runs of a sweep, got replicas=4 without -m: add -m"),
    ("study=fresh 'batch=[{seed:0}]'", "replicas are runs of a sweep, got batch=.* without -m: add -m"),
    ("-m study=fresh replicas=0", "need an integer replicas >= 1, got replicas=0"),
    ("-m study=fresh replicas=abc", "need an integer replicas >= 1, got replicas='abc'"),
    (
        "-m study=fresh replicas=1,2 seed=0,1",
        "need one value of replicas for all runs, got replicas=1 replicas=2: sweep",
    ),
    ("-m study=fresh 'batch=[{seed:0}]'", "a sweep fills in batch by itself, got batch=.*: give replicas, seed and lr"),
    # launchers
    ("-m hydra/launcher=jblib", r"there is no hydra/launcher=jblib: did you mean 'joblib'\?"),
    (
        "-m hydra/launcher=joblib hydra.launcher.n_jobs=0",
        r"need an integer hydra.launcher.n_jobs from 1 to \d+, got hydra.launcher.n_jobs=0: use -1 for all cores",
    ),
    ("-m hydra/launcher=joblib hydra.launcher.n_jobs=abc", "need an integer .*n_jobs from .* got .*n_jobs='abc'"),
    (
        "-m hydra/launcher=joblib hydra.launcher.threads=-1",
        r"need an integer hydra.launcher.threads from 1 to \d+, got hydra.launcher.threads=-1",
    ),
    ("-m hydra/launcher=joblib hydra.launcher.jobs=2", "no key 'hydra.launcher.jobs' .* did you mean 'n_jobs'"),
    ("-m hydra/launcher=submitit_local hydra.launcher.width=0", "need an integer hydra.launcher.width .*=0: use -1"),
    (
        "-m hydra/launcher=submitit_local hydra.launcher.cluster=pbs",
        "need .*cluster to be slurm or local, got cluster=pbs",
    ),
    ("-m hydra/launcher=submitit_local +hydra.launcher.parameters.memory=1", "submitit refuses .*'memory' need"),
    ("-m hydra/launcher=ray hydra.launcher.cpus=0", "need an integer hydra.launcher.cpus >= 1, got .*cpus=0"),
    ("-m hydra/launcher=ray hydra.launcher.gpus=-1", "need hydra.launcher.gpus >= 0, got .*gpus=-1"),
    ("-m hydra/launcher=ray hydra.launcher.address=nowhere", "no Ray cluster at hydra.launcher.address=nowhere: "),
    # folders
    ("study=../x", "need a folder as output and a plain name as study, got .*study=../x"),
    ("study=null", "need a folder as output and a plain name as study, got .*study=None"),
    ("output=null", "need a folder as output and a plain name as study, got output=None"),
]


@pytest.mark.parametrize(("command", "match"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_bad_command(refused, command, match):
    refused(command, match)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["rank=0", *(pytest.param(each, marks=pytest.mark.nightly) for each in ("dataset=mnistt", "--foo"))]
)
def test_a_process_ends_as_this_one_does(program, output, command):
    done = subprocess.run([sys.executable, *words(command, output)], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == program(command)
    assert_one_line(done.stderr, "")
    assert done.returncode == 2


def test_a_sweep_goes_on_after_a_bad_run(program, output):
    status, out, err = program(f"-m study=sweep {QUICK} rank=0,1")
    assert status == 1
    assert re.fullmatch(r"\[1/2, .* left\] +error: need an integer rank >= 1, got rank=0\n", err)
    assert re.search(r"\[2/2, .* left\] +lora rank=1 seed=0 .* accuracy", out)
    assert re.search(r"0 .* error: need an integer rank >= 1, got rank=0\s*\n *1 .* finished", out)
    assert sorted(path.name for path in files(output / "sweep")) == ["record.json", "trained.safetensors"]


@pytest.mark.parametrize("command", ["", "-m rank=0,1"])
def test_output_that_cannot_be_written(refused, tmp_path, command):
    (tmp_path / "file").write_text("kept")
    refused(command, f"cannot (use|write into) {tmp_path}/file.* choose another folder", tmp_path / "file" / "out")
    assert (tmp_path / "file").read_text() == "kept"


def test_memory_that_cannot_suffice(refused, program, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1_000_000))
    command = f"study=memory {QUICK} method=subspace dim=3000 projection="
    refused(command + "dense", "Dense needs .* GB for dim=3000, full_dim=[0-9]+.* are free: .*projection=onehot")
    status, _, _ = program(command + "onehot")
    assert status == 0  # the named one fits


@pytest.mark.parametrize("command", ["rank=0", f"study=as_it_was {QUICK}"])
def test_a_command_leaves_no_setting_of_hydra_behind(program, monkeypatch, command):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")
    program(command)
    assert os.environ["HYDRA_FULL_ERROR"] == ""
