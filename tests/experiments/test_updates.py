"""What `experiments.updates` measures, against other ways to compute it."""

import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from experiments.finished.measure import measure
from experiments.finished.reopen import reopen
from experiments.updates import decompose_update, updates
from intrinsic.errors import UserError
from intrinsic.files.records import NAME
from tests.support.commands import QUICK, run
from tests.support.updates_study import gaussian, low_rank

pytestmark = pytest.mark.usefixtures("surroundings")


def test_the_arrays_are_those_of_their_formulas():
    """Eigenvectors of the Gram matrices, and sums over entries, in place of an SVD."""
    origin, update = gaussian(7, 5, 0).numpy(), gaussian(7, 5, 1).numpy()
    found = {
        key: x.numpy() for key, x in decompose_update(*map(torch.tensor, (origin, update)), keep=4, seed=0).items()
    }
    assert {key: x.shape for key, x in found.items()} == {
        "left": (7, 4), "right": (5, 4), "values": (5,), "origin_values": (5,), "trained_values": (5,),
        "projected": (4,), "projected_random": (4,), "resemblance": (4,),
    }  # fmt: skip
    for key, matrix in (("values", update), ("origin_values", origin), ("trained_values", origin + update)):
        np.testing.assert_allclose(found[key], np.sqrt(np.linalg.eigvalsh(matrix.T @ matrix)[::-1]))
    right = np.linalg.eigh(update.T @ update)[1][:, ::-1][:, :4]
    left = update @ right / found["values"][:4]
    np.testing.assert_allclose(np.abs((left * found["left"]).sum(0)), 1)
    np.testing.assert_allclose(np.abs((right * found["right"]).sum(0)), 1)
    for r in range(1, 5):
        entries = [left[:, a] @ origin @ right[:, b] for a in range(r) for b in range(r)]
        np.testing.assert_allclose(found["projected"][r - 1], np.sqrt(np.sum(np.square(entries))))
    before = np.linalg.eigh(origin @ origin.T)[1][:, ::-1][:, :5]  # the two last ones span the null space
    after = np.linalg.eigh((origin + update) @ (origin + update).T)[1][:, ::-1]
    largest = [max(abs(after[:, j] @ before[:, i]) for i in range(5)) for j in range(4)]
    np.testing.assert_allclose(found["resemblance"], largest)


def test_random_directions_hold_their_share_of_the_weight():
    """E ||U^T W V||_F^2 = r^2 ||W||_F^2 / (m n): the mean of many draws, within four of its standard errors."""
    origin, draws = gaussian(12, 8, 0) + low_rank(12, 8, 2, 1, size=9), 400
    found = [decompose_update(origin, origin, 3, seed=seed)["projected_random"] ** 2 for seed in range(draws)]
    mean, error = torch.stack(found).mean(0), torch.stack(found).std(0) / draws**0.5
    expected = torch.tensor([1.0, 4, 9]) * origin.square().sum() / (12 * 8)
    assert ((mean - expected).abs() < 4 * error).all()
    assert (error < 0.1 * expected).all()  # so that the comparison says something


@pytest.fixture
def lora(tmp_path):
    """The folder of a LoRA run of rank 3 on digits, with a trained head."""
    assert run(f"rank=3 head=train {QUICK} study=updates", tmp_path) == 0
    (record,) = (tmp_path / "updates").glob(f"*/{NAME}")
    return record.parent


def test_a_run_is_measured(lora, monkeypatch, capsys):
    values, arrays = updates(reopen(lora))
    weights = {"hidden.0.weight": [64, 64], "hidden.1.weight": [64, 64], "head.weight": [10, 64]}
    assert (values["weights"], values["head"]) == (weights, ["head.weight"])
    sigma = arrays["hidden.0.weight/values"]
    assert (sigma[:3] > 1e-3).all()
    assert (
        sigma[3:] < 2.0**-23 * arrays["hidden.0.weight/trained_values"].norm()
    ).all()  # rounding, as figures take it
    monkeypatch.setattr(sys, "argv", ["updates", str(lora.parent), "--keep", "2", "--device", "cpu"])
    measure(updates)
    file = load_file(lora / "updates.safetensors")
    assert file["hidden.0.weight/left"].shape == (64, 2)
    assert torch.equal(file["hidden.0.weight/values"], sigma)
    measure(updates)
    assert "0 of 1 runs to measure" in capsys.readouterr().err


def test_a_run_that_moved_no_matrix_is_refused(tmp_path):
    assert run(f"method=bitfit head=freeze {QUICK} study=biases", tmp_path) == 0
    (record,) = (tmp_path / "biases").glob(f"*/{NAME}")
    with pytest.raises(UserError, match="no weight matrix has moved under method=bitfit: its update is zero"):
        updates(reopen(record.parent))
