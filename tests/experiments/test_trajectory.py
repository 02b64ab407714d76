"""The way of a full training, and its directions."""

import pytest
import torch

import intrinsic
from experiments.finished.reopen import reopen
from experiments.run.setup import Setup
from experiments.run.train import train
from experiments.trajectory import trajectory
from intrinsic.errors import UserError
from intrinsic.files.tensors import write_tensors
from tests.support.configs import composed

OPTIONS = ["init=scratch", "dataset.rotate=0", "model.width=8", "dataset.fraction=0.2", "epochs=3", "device=cpu"]


@pytest.fixture(scope="module")
def way(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    config = composed(*OPTIONS, "method=full", f"output={folder}")
    train(config, folder / "way" / "run")
    run = reopen(folder / "way" / "run")
    values, arrays = trajectory(run, moments=5)
    write_tensors(folder / "trajectory.safetensors", arrays, {"values": values, "options": {}})
    return run, values, arrays["offsets"], folder / "trajectory.safetensors"


def test_it_ends_where_the_run_ended(way):
    run, values, offsets, _ = way
    assert values["error"] == 0
    assert values["steps"] == [2, 5, 7, 10, 12]
    start, end = (torch.cat([p.detach().flatten() for p in net.model.parameters()]) for net in (run.start, run.net))
    torch.testing.assert_close(offsets[-1], end - start)


def test_the_way_of_a_run_that_ended_early_is_all_of_it(tmp_path):
    changes = ["epochs=60", "patience=1", "lr=0.1", "method=full", f"output={tmp_path}"]
    record = train(composed(*OPTIONS, *changes), tmp_path / "way" / "run")
    assert record.epochs() < 30  # half of what was asked for
    values, arrays = trajectory(reopen(tmp_path / "way" / "run"), moments=2)
    assert values["steps"] == [2 * record.epochs(), 4 * record.epochs()]  # 4 steps an epoch
    assert (values["error"], len(arrays["offsets"])) == (0, 2)


def test_all_directions_hold_every_moment(way):
    *_, offsets, file = way
    P = intrinsic.Trajectory(5, offsets.shape[1], seed=3, file=str(file))
    torch.testing.assert_close(P(P.adjoint(offsets)), offsets, rtol=1e-4, atol=1e-6)
    first = intrinsic.Trajectory(1, offsets.shape[1], seed=0, file=str(file))
    values = torch.linalg.svdvals(offsets.double())
    torch.testing.assert_close(first.adjoint(offsets.double()).norm(), values[0], rtol=1e-6, atol=0)
    assert P.fingerprint() == intrinsic.Trajectory(5, offsets.shape[1], seed=0, file=str(file)).fingerprint()


@pytest.mark.parametrize(
    ("dim", "full_dim", "match"),
    [(6, None, "has 5 directions, got dim=6"), (2, 11, "weights, and 11 may move here: need the same model")],
)
def test_what_does_not_fit_is_refused(way, dim, full_dim, match):
    *_, offsets, file = way
    with pytest.raises(UserError, match=match):
        intrinsic.Trajectory(dim, full_dim or offsets.shape[1], seed=0, file=str(file))


def test_files_that_are_none(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        intrinsic.Trajectory(1, 3, seed=0, file=str(tmp_path / "none"))
    for tensors, match in (
        ({"other": torch.ones(2, 3)}, "is no trajectory"),
        ({"offsets": torch.full((2, 3), torch.nan)}, "not finite"),
    ):
        write_tensors(tmp_path / "file", tensors, {})
        with pytest.raises(UserError, match=match):
            intrinsic.Trajectory(1, 3, seed=0, file=str(tmp_path / "file"))


def test_a_run_needs_a_file(way):
    with pytest.raises(UserError, match=r"need projection\.file=\.\.\., a file trajectory\.safetensors"):
        Setup(composed(*OPTIONS, "method=subspace", "projection=trajectory")).check()
    run, *_ = way
    with pytest.raises(UserError, match="the run has 12 steps, got moments=13: use fewer"):
        trajectory(run, moments=13)
