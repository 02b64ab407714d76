"""Read what `python -m experiments.<name>` left beside the records."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from intrinsic.errors import UserError


@dataclass(frozen=True)
class Measured:
    """One run's measurement: values, and arrays by name that are read when they are asked for."""

    path: Path
    values: dict[str, Any]
    options: dict[str, Any]

    def names(self) -> list[str]:
        """The names of the arrays, sorted."""
        with safe_open(self.path, "numpy") as file:
            return sorted(file.keys())

    def array(self, name: str) -> np.ndarray:
        """The array of that name."""
        with safe_open(self.path, "numpy") as file:
            array: np.ndarray = file.get_tensor(name)
            return array


def measured(rows: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[str]]:
    """Keep the finished runs that `experiments.<name>` has measured, with a column `measured`; and notes.

    Args:
        rows: runs as from `analysis.records.load`.
        name: of the measurement.

    Raises:
        UserError: if none is measured, or a file is damaged.
    """
    rows = rows[rows["status"] == "finished"]
    files = {run.run_id: Path(run.folder) / f"{name}.safetensors" for run in rows.itertuples()}
    studies = " ".join(dict.fromkeys(str(Path(folder).parent) for folder in rows["folder"]))
    command = f"python -m experiments.{name} {studies}"
    there = rows[rows["run_id"].map(lambda run: files[run].is_file())]
    if there.empty:
        raise UserError(f"no run in {studies or 'the studies'} has {name}.safetensors; `{command}` makes them")
    notes = [f"runs without {name}: {len(rows) - len(there)}; `{command}` measures them"] * (len(there) < len(rows))
    return there.assign(measured=[_open(files[run]) for run in there["run_id"]]), notes


def check_alike(rows: pd.DataFrame, name: str) -> None:
    """Refuse runs that were measured with different options, whose numbers don't belong on one axis.

    Args:
        rows: as from `measured`.
        name: of the measurement.

    Raises:
        UserError: if they were.
    """
    files: list[Measured] = list(rows["measured"])
    for option, value in files[0].options.items():
        others = [file.options.get(option) for file in files if file.options.get(option) != value]
        if others:
            studies = " ".join(dict.fromkeys(str(file.path.parent.parent) for file in files))
            raise UserError(
                f"the runs are measured with different options: {option} is {value} and {others[0]}; "
                f"`python -m experiments.{name} {studies}`, with the options you want, measures all alike"
            )


def _open(path: Path) -> Measured:
    try:
        with safe_open(path, "numpy") as file:
            content: Mapping[str, Any] = json.loads(file.metadata()["intrinsic"])
        return Measured(path, dict(content["values"]), dict(content["options"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}): delete it and measure again") from None
