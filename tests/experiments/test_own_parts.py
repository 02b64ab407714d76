"""Parts in a package of the user's own: the ones that the texts show, in a folder beside which the program starts."""

import re
import sys

import pytest
import torch
from torch import nn

import intrinsic
from experiments.config.build import build
from experiments.config.roles import ROLES, find
from experiments.finished.reopen import reopen
from intrinsic.errors import UserError
from intrinsic.files.records import NAME
from intrinsic.subspace.recipe import recipe
from tests.support.commands import QUICK, here, run
from tests.support.pages import files_of

GUIDE = files_of("docs/guides/own_parts.md")
OTHERS = {
    path: text
    for path, text in files_of("docs/guides/adding.md").items()
    if re.search("matrices|deep_linear|spirals", path)
}
WORDS = f"--config-dir=my_conf method=subspace projection=turns {QUICK} dim=20"


def mine(text):
    """What stands in the program's packages, in one's own."""
    return re.sub(r"(?<=_target_: )intrinsic\.\w+\.", "my_package.", text)


@pytest.fixture
def folder(surroundings, tmp_path, monkeypatch):
    """Where the program starts: my_package and my_conf, which is allowed."""
    here = tmp_path / "cwd"
    for path, text in GUIDE.items():
        (here / path).parent.mkdir(parents=True, exist_ok=True)
        (here / path).write_text(text)
    for path, text in OTHERS.items():
        name = path.rpartition("/")[2]
        place = here / (f"my_package/{name}" if name.endswith(".py") else path.replace("conf/", "my_conf/"))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(mine(text))
    monkeypatch.setenv("INTRINSIC_ALLOW", "my_package")
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield here
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
        del sys.modules[name]


def turns():
    """The class of the guide; its package has been imported by a run, or lies on the path."""
    return find("my_package.turns.Turns", "projection")


def test_a_run_of_own_parts_is_opened_again(folder, tmp_path, monkeypatch, capsys):
    words = f"{WORDS} space=matrices model=deep_linear dataset=spirals".replace("dataset.fraction=0.1", "")
    assert run(f"{words} study=own", tmp_path) == 0
    (record,) = (tmp_path / "own").glob(f"*/{NAME}")
    opened = reopen(record.parent)
    parts = [type(part).__module__ for part in (opened.net.projection, opened.net.space, opened.net.model)]
    assert parts == ["my_package.turns", "my_package.matrices", "my_package.deep_linear"]
    trained = record.parent / "trained.safetensors"
    model = opened.setup.model()
    loaded = intrinsic.load(model, trained)
    assert torch.equal(loaded.z, opened.net.z)
    assert loaded.z.any()
    model = loaded.unwrap()
    assert here("-m", "experiments.updates", tmp_path / "own", "--device", "cpu") == 0
    assert (record.parent / "updates.safetensors").is_file()
    for given in ("", "my_packages"):
        monkeypatch.setenv("INTRINSIC_ALLOW", given)
        remedy = f"set INTRINSIC_ALLOW={','.join(filter(None, (given, 'my_package')))}$"
        with pytest.raises(UserError, match=rf"my_package\.matrices\.Matrices is not a space of .*{remedy}"):
            intrinsic.load(model, trained)
        with pytest.raises(UserError, match=rf"my_package\.spirals\.spirals is refused as dataset: .*{remedy}"):
            reopen(record.parent)


@pytest.mark.slow
def test_a_worker_finds_them(folder, tmp_path, capsys):
    command = f"-m {WORDS} hydra/launcher=joblib hydra.launcher.n_jobs=1 seed=0,1 study=swept"
    assert run(command, tmp_path) == 0, capsys.readouterr().err
    records = list((tmp_path / "swept").glob(f"*/{NAME}"))
    assert len(records) == 2
    assert "my_package" not in sys.modules  # this process has made none
    prints = {reopen(record.parent).net.projection.fingerprint() for record in records}
    assert len(prints) == 2


def test_nothing_is_imported_that_is_not_allowed(folder, tmp_path, monkeypatch, capsys):
    (folder / "my_package" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.delenv("INTRINSIC_ALLOW")
    assert run(WORDS, tmp_path) == 2
    expected = "if the package my_package is your own, or you trust it, set INTRINSIC_ALLOW=my_package\n"
    assert capsys.readouterr().err.endswith(expected)


def test_the_folder_stands_for_no_other_package(folder, tmp_path):
    """What else lies in it is not found, though an allowed package would like to have it."""
    (folder / "secret_sibling.py").write_text("")
    (folder / "my_package" / "turns.py").write_text("import secret_sibling")
    with pytest.raises(ModuleNotFoundError, match="No module named 'secret_sibling'"):
        run(WORDS, tmp_path)


@pytest.mark.parametrize("given", ["intrinsic", "os", "a-b", "my_package,subprocess.run", "../x", "my_package.", "."])
def test_what_no_one_can_allow(monkeypatch, given):
    monkeypatch.setenv("INTRINSIC_ALLOW", given)
    with pytest.raises(UserError, match="need packages of your own, INTRINSIC_ALLOW=my_package,other, got "):
        find("my_package.turns.Turns", "projection")


@pytest.fixture
def importable(folder, monkeypatch):
    """The package on Python's path, with things that configs may not make."""
    monkeypatch.syspath_prepend(str(folder))
    text = "import subprocess\nfrom subprocess import run\nfrom torch.nn import Linear\n"
    text += "class Plain:\n    pass\n\ndef forget(path: str):\n    pass\n\nclass Broken(Exception):\n    pass\n"
    text += "import torch\nclass Descent(torch.optim.SGD):\n    pass\n"
    text += "class Stairs(torch.optim.lr_scheduler.StepLR):\n    pass\n"
    text += "class Words:\n    def __call__(self): ...\n    def save(self): ...\n"
    text += "class Diary:\n    def log(self): ...\n    def __enter__(self): ...\n    def __exit__(self): ...\n"
    (folder / "my_package" / "things.py").write_text(text)


@pytest.mark.parametrize("role", ROLES)
def test_an_allowed_package_makes_only_things_of_the_role(importable, role):
    for name in ("run", "Linear", "Plain", "forget", "Broken", "subprocess", "nothing"):
        with pytest.raises(UserError, match=rf"^_target_=my_package\.things\.{name} is refused"):
            find(f"my_package.things.{name}", role)
    if role not in ("projection", "model"):  # a projection is a module, too
        with pytest.raises(UserError, match=r"^_target_=my_package\.turns\.Turns is refused"):
            find("my_package.turns.Turns", role)


@pytest.mark.parametrize(
    ("role", "name"), [("optim", "Descent"), ("schedule", "Stairs"), ("tokenizer", "Words"), ("logger", "Diary")]
)
def test_it_may_have_parts_of_other_roles(importable, role, name):
    assert find(f"my_package.things.{name}", role).__name__ == name


def test_what_is_wrong_is_said(importable, folder):
    with pytest.raises(UserError, match=r"there is no module my_package\.turn on Python's path or in .*: install"):
        find("my_package.turn.Turns", "projection")
    with pytest.raises(UserError, match=r"turns defines Turns for projection; need a subclass of Projection, or"):
        find("my_package.turns.Turn", "projection")
    node = {"_target_": "my_package.turns.Turns", "_partial_": True, "period": 3}
    with pytest.raises(UserError, match=r"my_package\.turns\.Turns has no argument 'period'"):
        build(node, "projection")
    with pytest.raises(UserError, match=r"my_package\.turns\.Turns is refused as subspace: need a name in [\w.]+$"):
        find("my_package.turns.Turns", "subspace")


def test_files_hold_full_names_of_these_alone(importable):
    net = intrinsic.Subspace(
        nn.Sequential(nn.Linear(5, 4)), space=intrinsic.LoRA(2, targets=".*"), projection=turns(), dim=3
    )
    assert [recipe(net)[key] for key in ("space", "projection")] == ["LoRA", "my_package.turns.Turns"]
