"""The answer of a run that has ended before, found without a job of Hydra's."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from experiments.run.resolve import resolve
from experiments.run.run_folder import run_folder
from intrinsic.errors import UserError
from intrinsic.files.own_files import OwnFiles
from intrinsic.files.records import Record, read_record
from intrinsic.files.run_id import run_id


def answer(cfg: DictConfig, overrides: Sequence[str]) -> tuple[Record, Path] | None:
    """The record of a run and its folder; None where it is to be run, or where `run_job` has something to refuse.

    Args:
        cfg: of the run, without Hydra's own part.
        overrides: those that made it.
    """
    try:
        config = resolve(cfg, {}, overrides)
        folder = run_folder(config)
        record = read_record(folder)
    except UserError:
        return None
    if record is None or not record.answered or run_id(record.config) != folder.name:
        return None
    if OwnFiles(record.files or {}).changed(config) is not None:
        return None
    return record, folder
