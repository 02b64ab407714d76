"""The record of a run that finished, whose config may be built again."""

from dataclasses import replace
from pathlib import Path

from experiments.config.check_config import check_config
from experiments.config.check_values import check_values
from intrinsic.errors import UserError
from intrinsic.files.records import Record, read_record


def finished(folder: Path) -> Record | None:
    """The record in `folder`, with a checked config; None if there is none or the run did not finish.

    Raises:
        UserError: if the record, or its config, is damaged or not of this program.
    """
    record = read_record(folder)
    if record is None or record.status != "finished":
        return None
    try:
        check_values(record.config)
        return replace(record, config=check_config(record.config))
    except UserError as error:
        raise UserError(f"{folder}: {error}") from None
