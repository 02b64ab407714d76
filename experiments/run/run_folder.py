"""Where a run leaves what it makes."""

import os
from pathlib import Path
from typing import Any

from experiments.config.place import check_place
from intrinsic.errors import UserError
from intrinsic.files.run_id import run_id


def run_folder(config: dict[str, Any]) -> Path:
    """The run's folder, which may not exist yet but can be made.

    Raises:
        UserError: if it cannot.
    """
    output, study = config["output"], config["study"]
    check_place(output, study)
    folder = Path(output) / str(study) / run_id(config)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UserError(f"cannot write into {existing}: choose another folder with output=")
    return folder
