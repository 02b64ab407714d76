"""A run that asks for more memory than there is ends in one line, and is tried again by the next command."""

import pytest
import torch

import experiments.run.train
from experiments.run.failure import out_of_memory
from intrinsic.errors import UserError
from tests.support.commands import QUICK

pytestmark = pytest.mark.usefixtures("surroundings")


def lacks(*_arguments):
    torch.empty(2**60)


def test_torch_says_so():
    with pytest.raises(RuntimeError, match="can't allocate memory") as raised:
        lacks()
    assert out_of_memory(raised.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert out_of_memory(MemoryError())
    assert not out_of_memory(RuntimeError("shapes do not fit"))


def test_one_line_and_no_record(program, monkeypatch, tmp_path):
    monkeypatch.setattr(experiments.run.train, "train", lacks)
    status, out, err = program(f"{QUICK} rank=1", tmp_path / "out")
    assert (status, out) == (2, "")
    assert err.startswith("error: out of memory (RuntimeError: ")
    assert err.endswith("use a smaller model, batch_size or replicas\n")
    assert not list(tmp_path.rglob("record.json"))


def test_a_disk_that_is_full_hides_no_bug(program, monkeypatch, tmp_path):
    def full(*_arguments):
        raise UserError("cannot write to record.json: No space left on device; choose another folder with output=")

    def bug(*_arguments):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(experiments.run.train, "train", bug)
    monkeypatch.setattr("experiments.run.job.write_record", full)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        program(f"{QUICK} rank=1", tmp_path / "out")
