"""Data of one's own that change under their name: no run is made of both, and none is found for the other."""

import json

import pytest

from analysis.studies.records import load_records
from experiments.finished.reopen import reopen
from experiments.run.state import RunState
from experiments.run.train import train
from intrinsic.errors import UserError
from tests.support.configs import composed

pytestmark = pytest.mark.usefixtures("surroundings")
DECODER = "model=decoder model.width=8 model.depth=1 model.heads=2 dataset=text init=scratch epochs=3"


def write(path, shift=0):
    path.write_text("".join(f"{n}+{n}={2 * n + shift}\n" for n in range(40)))
    return path


def test_a_finished_run_is_found_for_its_own_data_alone(program, tmp_path):
    file = write(tmp_path / "a.txt")
    command = f"{DECODER} dataset.file={file} study=own"
    assert program(command, tmp_path)[0] == 0
    (record,) = (tmp_path / "own").glob("*/record.json")
    assert list(json.loads(record.read_text())["files"]) == [str(file)]
    status, out, _ = program(command, tmp_path)
    assert status == 0
    assert "skipped" in out
    write(file, shift=1)
    status, _, err = program(command, tmp_path)
    assert status == 2
    assert "a.txt held other data" in err
    assert "study=" in err
    assert program(f"-m {command} seed=0,1", tmp_path)[0] == 1
    _, notes = load_records([tmp_path / "own"])
    assert any("a.txt held other data in 1 of 2 runs" in note for note in notes)
    with pytest.raises(UserError, match=r"a\.txt held other data"):
        reopen(record.parent)
    assert program(command.replace("study=own", "study=new"), tmp_path)[0] == 0
    content = json.loads(record.read_text())
    record.write_text(json.dumps({key: value for key, value in content.items() if key != "files"}))
    assert "skipped" in program(command, tmp_path)[1]  # of a version that did not know


def test_a_half_finished_run_does_not_go_on_with_other_data(tmp_path, monkeypatch):
    file = write(tmp_path / "a.txt")
    config = composed(*DECODER.split(), f"dataset.file={file}", "checkpoint_seconds=0", f"output={tmp_path}")
    usual = RunState.add

    def stop(self, epoch):
        usual(self, epoch)
        raise KeyboardInterrupt("after an epoch")

    with monkeypatch.context() as patch:
        patch.setattr(RunState, "add", stop)
        with pytest.raises(KeyboardInterrupt, match="after an epoch"):
            train(config, tmp_path / "run")
    write(file, shift=1)
    with pytest.raises(UserError, match=r"is of other data: .*a\.txt has changed since; delete it"):
        train(config, tmp_path / "run")
    write(file)
    assert train(config, tmp_path / "run").status == "finished"


def test_a_source_task_is_trained_again_for_other_data(tmp_path):
    file = write(tmp_path / "a.txt")
    changes = [*DECODER.replace("scratch", "source").split(), f"dataset.file={file}", f"output={tmp_path}"]
    config = composed(*changes, "init.source.epochs=1")
    train(config, tmp_path / "run")
    write(file, shift=1)
    with pytest.raises(UserError, match=r"a\.txt held other data .* delete it to pretrain again"):
        train(config, tmp_path / "again")


@pytest.mark.parametrize("start", ["", "-m "])
def test_a_run_that_is_found_says_its_device_where_another_was_asked_for(start, program, tmp_path):
    command = f"{start}{DECODER} dataset.file={write(tmp_path / 'a.txt')} study=own"
    assert program(command, tmp_path)[0] == 0
    (record,) = (tmp_path / "own").glob("*/record.json")
    assert "(skipped: already there)" in program(f"{command} device=cpu", tmp_path)[1]
    content = json.loads(record.read_text())
    content["environment"]["device"] = "NVIDIA H200"
    record.write_text(json.dumps(content))
    assert "(skipped: already there)" in program(command, tmp_path)[1]
    assert "(skipped: already there, made on NVIDIA H200)" in program(f"{command} device=cpu", tmp_path)[1]
