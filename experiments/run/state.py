"""The checkpoint of a half-finished run: written now and then, read at the start."""

import json
import sys
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from intrinsic.errors import UserError
from intrinsic.files.records import OUTPUT
from intrinsic.files.tensors import read_tensors, write_tensors
from intrinsic.subspace import Subspace
from intrinsic.subspace.checkpoint import load_trained, trained_state
from intrinsic.terminal.one_line import one_line
from intrinsic.terminal.say import say
from intrinsic.training.epoch import Epoch

KEYS = {"run_id", "fingerprint", "history", "seconds", "optimizer"}


class RunState:
    """The epochs of a run so far, and their checkpoint on disk.

    Going on from it gives the bits of an undisturbed run: the net's trained numbers and buffers and the optimiser's
    state are stored, all randomness is a function of the seed and the epoch. A checkpoint that is damaged or another
    run's is left as it is, and the run refused; one that cannot be written is done without.

    Args:
        path: the checkpoint file, in the folder that bears the run's id.
        net: what is trained.
        optimizer: its optimiser.
        every: seconds between two checkpoints, at least.
        files: what it is made from, see `intrinsic.files.own_files`.

    Raises:
        UserError: unless every >= 0.
    """

    def __init__(
        self,
        path: Path,
        net: Subspace,
        optimizer: Optimizer,
        every: float,
        files: Mapping[str, str | None] = MappingProxyType({}),
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int | float) or not every >= 0:
            raise UserError(f"need checkpoint_seconds to be a number >= 0, got checkpoint_seconds={every}")
        self.path, self._net, self._optimizer, self._every = path, net, optimizer, every
        self._files = dict(files)
        self._run_id = path.parent.name
        self.history: list[Epoch] = []
        self._seconds_before, self._complained = 0.0, False
        self._began = self._written = time.perf_counter()

    def seconds(self) -> float:
        """Seconds spent on this run, earlier parts included."""
        return self._seconds_before + time.perf_counter() - self._began

    def load(self) -> list[Epoch]:
        """Restore the checkpoint, if there is one, and return the epochs that it holds.

        Raises:
            UserError: if it is damaged, or not the checkpoint of this run.
        """
        if self.path.is_file():
            try:
                self._restore(*read_tensors(self.path))
            except UserError as error:
                raise UserError(f"{error}; delete it to start this run again") from None
        return list(self.history)

    def _restore(self, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
        if not metadata.keys() >= KEYS:
            raise UserError(f"{self.path} is not a checkpoint of a run, or of an earlier version of this program")
        if metadata["run_id"] != self._run_id:
            raise UserError(f"{self.path} belongs to another run, {one_line(metadata['run_id'])}")
        if metadata.get("files", self._files) != self._files:
            raise UserError(f"{self.path} is of other data: {', '.join(self._files) or 'a file'} has changed since")
        found = metadata["fingerprint"]
        older = found != self._net.fingerprint()  # of an older version, if of this model at all
        if older and found != self._net.fingerprint(bits=False):
            raise UserError(f"{self.path} belongs to another model")
        if metadata.pop("checksum", None) not in (None, checksum(tensors, metadata)):  # None: an earlier version's
            raise UserError(f"{self.path} is damaged: it does not hold the numbers that were written")
        try:
            history = [Epoch(**epoch) for epoch in metadata["history"]]
            _check(history, metadata["seconds"])
            if older:
                self._net.zero_rows.clear()  # padding moved then
            load_trained(self._net, _part(tensors, "net."), self.path)
            load_optimizer(self._optimizer, _part(tensors, "optimizer."), metadata["optimizer"])
        except UserError:
            raise
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise UserError(f"{self.path} is not a checkpoint of a run ({one_line(error)})") from None
        self.history, self._seconds_before = history, metadata["seconds"]

    def add(self, epoch: Epoch) -> None:
        """Note an epoch, and write a checkpoint if the last one is old enough."""
        self.history.append(epoch)
        if time.perf_counter() - self._written < self._every or epoch.diverged:
            return
        tensors, values = optimizer_state(self._optimizer)
        tensors = {f"optimizer.{name}": tensor for name, tensor in tensors.items()}
        tensors |= {f"net.{name}": tensor for name, tensor in trained_state(self._net).items()}
        metadata = {
            "run_id": self._run_id,
            "fingerprint": self._net.fingerprint(),
            "history": [epoch.to_dict() for epoch in self.history],
            "seconds": self.seconds(),
            "optimizer": values,
            "files": self._files,
        }
        try:
            write_tensors(self.path, tensors, {**metadata, "checksum": checksum(tensors, metadata)}, remedy=OUTPUT)
        except UserError as error:  # a full disk: the run needs no checkpoint, and may find room for its record
            if not self._complained:
                say(f"continues without a checkpoint: {error}", sys.stderr)
            self._complained = True
        self._written = time.perf_counter()


def _check(history: list[Epoch], seconds: Any) -> None:
    """Check that epochs are numbered from 1 and that what they measured are numbers.

    Raises:
        ValueError: if not.
    """
    if not history or [epoch.epoch for epoch in history] != list(range(1, len(history) + 1)):
        raise ValueError("its epochs are not numbered from 1")
    for epoch in history:
        measured = [each for each in (epoch.validation, epoch.test, epoch.train) if each is not None]
        if not all(isinstance(each, dict) and "loss" in each for each in measured) or epoch.validation is None:
            raise ValueError(f"epoch {epoch.epoch} has no loss")
        numbers = [seconds, epoch.seconds, epoch.train_loss, *(value for each in measured for value in each.values())]
        if not all(type(value) in (int, float) for value in numbers) or not isinstance(epoch.best, bool):
            raise ValueError(f"epoch {epoch.epoch} has something other than numbers")


def checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> int:
    """CRC-32 of `metadata` as JSON and of the names and bytes of `tensors`: it notices damage, not intent."""
    total = zlib.crc32(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        numbers = tensors[name].detach().cpu().contiguous().reshape(-1)
        total = zlib.crc32(numbers.view(torch.uint8).numpy().data, total)
    return total


def _part(tensors: dict, prefix: str) -> dict:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def optimizer_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as tensors, and what is not a tensor as plain values."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{key}"] = value
            else:
                values[f"{index}.{key}"] = value
    return tensors, values


def load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Put back what `optimizer_state` gave, into an optimiser made in the same way."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **values}.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
