"""A run that is stopped after two epochs and started again."""

import pytest
import torch
from safetensors.torch import load_file

from experiments.run.state import RunState
from experiments.run.train import train


def check_going_on(config, folder):
    """Check that a run of at least three epochs goes on with the bits that it would have had; its whole record."""
    whole = train(config, folder / "whole")
    usual, added = RunState.add, []

    def stop(self, epoch):
        usual(self, epoch)
        added.append(epoch)
        if len(added) == 2:
            raise KeyboardInterrupt("after two epochs")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunState, "add", stop)
        with pytest.raises(KeyboardInterrupt, match="after two epochs"):
            train(config, folder / "stopped")
    again = train(config, folder / "stopped")
    assert again.history == whole.history
    stored = [load_file(folder / name / "trained.safetensors") for name in ("whole", "stopped")]
    assert all(torch.equal(stored[0][name], stored[1][name]) for name in stored[0])
    return whole
