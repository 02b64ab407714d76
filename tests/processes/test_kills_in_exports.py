"""A SIGKILL before any step of an export: the old folder, the new folder, or one clear line, and never a mixture."""

import json
import subprocess
import sys

import pytest

from intrinsic.errors import UserError
from tests.support.configs import ROOT

# a child for each step: it kills itself before its number-th change of a file or folder; only the last one ends
PROGRAM = """
import json, shutil, sys
from pathlib import Path

import torch
from torch import nn

import intrinsic
from intrinsic.files.atomic import write_folder
from tests.support.forked import killed_at

torch.set_num_threads(1)
X = torch.linspace(-1, 1, 8).view(2, 4)

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))

def net(alpha, value):
    made = intrinsic.Subspace(model(), space=intrinsic.LoRA(2, alpha, targets=["0", "1"]))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.fill_(value)
    return made

def adapter(folder):
    try:
        return intrinsic.load_peft(model(), folder)(X).flatten().tolist()
    except intrinsic.UserError as error:
        return str(error)

def fill(folder):
    for name in ("config", "weights"):
        (folder / name).write_text(name)

def steps(act, read, prepare):
    number = 0
    while True:
        number += 1
        prepare()
        killed = killed_at(number, act)
        print(json.dumps([killed, read()]), flush=True)
        if not killed:
            return

home = Path(sys.argv[1])
folder, old, new = home / "adapter", net(8.0, 0.5), net(16.0, 0.25)

def prepare():
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    if sys.argv[2] == "replaced":
        intrinsic.export_peft(old, folder)
        (folder / "README.md").write_text("mine")

if sys.argv[2] == "folder":
    read = lambda: sorted(path.name for path in folder.iterdir()) if folder.exists() else None
    steps(lambda: write_folder(folder, fill), read, prepare)
else:
    print(json.dumps([net(8.0, 0.5)(X).flatten().tolist(), net(16.0, 0.25)(X).flatten().tolist()]))
    kept = lambda: (folder / "README.md").read_text() if (folder / "README.md").exists() else None
    steps(lambda: intrinsic.export_peft(new, folder), lambda: [adapter(folder), kept()], prepare)
"""


def kills(tmp_path, kind):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "home"), kind],
        check=True,
        capture_output=True,
        text=True,
        timeout=200,
        cwd=ROOT,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_an_adapter_in_the_place_of_another(tmp_path):
    (old, new), *found = kills(tmp_path, "replaced")
    assert len(found) >= 20
    assert all(readme == "mine" for _, (_, readme) in found)
    outputs = [output for _, (output, _) in found]
    for output in outputs:
        if isinstance(output, str):
            assert "there is no" in output
            assert "an export that was cut off leaves this, then write it again" in output
        else:
            assert output == pytest.approx(old) or output == pytest.approx(new)
    assert outputs[0] == pytest.approx(old)
    assert [killed for killed, _ in found] == [True] * (len(found) - 1) + [False]
    assert outputs[-1] == pytest.approx(new)
    assert sum(isinstance(output, str) for output in outputs) < len(outputs) / 2


@pytest.mark.slow
@pytest.mark.nightly
def test_an_adapter_in_a_new_folder(tmp_path):
    (_, new), *found = kills(tmp_path, "new")
    outputs = [output for _, (output, _) in found]
    assert len(outputs) >= 15
    assert all("there is no" in output for output in outputs if isinstance(output, str))
    assert all(output == pytest.approx(new) for output in outputs if not isinstance(output, str))
    assert not isinstance(outputs[-1], str)


@pytest.mark.slow
def test_a_folder_as_a_whole(tmp_path):
    """As the export of a model of transformers writes it."""
    found = [content for _, content in kills(tmp_path, "folder")]
    assert len(found) >= 8
    assert all(content in (None, ["config", "weights"]) for content in found)
    assert found[0] is None
    assert found[-1] == ["config", "weights"]


def test_an_adapter_that_changes_while_it_is_read(tmp_path, monkeypatch):
    import intrinsic.peft.read_adapter as reader

    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 8}')
    (tmp_path / "adapter_model.safetensors").touch()

    def load_file(path):
        path.with_name("adapter_config.json").write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 16}')
        return {}

    monkeypatch.setattr(reader, "load_file", load_file)
    with pytest.raises(UserError, match="was rewritten while it was read: load it again"):
        reader.read_adapter(tmp_path)
