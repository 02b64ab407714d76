"""The files that `python -m experiments.<name>` left beside the records."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from analysis.studies.config_keys import value_text
from analysis.studies.plain import plain, plain_tree
from analysis.studies.strict_dict import StrictDict
from intrinsic.errors import UserError
from intrinsic.files.read_json import parse_json

# what a measurement's values are, where it has them
KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("weights", "numbers", "guess", "exact", "flops", "bytes", "peak", "graph", "matrices"), dict),
    **dict.fromkeys(("head", "batch", "splits"), list),
    **dict.fromkeys(("distance", "effective_rank", "load"), (int, float)),
    **dict.fromkeys(("threads", "examples", "full_dim", "dim"), int),
    **dict.fromkeys(("split", "metric", "device", "kept"), str),
}


@dataclass(frozen=True)
class MeasurementFile:
    """One run's measurement: values, and arrays by name that are read when they are asked for."""

    path: Path
    values: StrictDict
    options: StrictDict

    def names(self) -> list[str]:
        """The names of the arrays, sorted."""
        with safe_open(self.path, "numpy") as file:
            return sorted(file.keys())

    def array(self, name: str) -> np.ndarray:
        """The array of that name.

        Raises:
            UserError: if the file has none, or not of numbers.
        """
        try:
            with safe_open(self.path, "numpy") as file:
                array: np.ndarray = file.get_tensor(name)
                return array
        except (SafetensorError, OSError, TypeError, AttributeError) as error:  # the last two: bfloat16
            raise _damaged(self.path, error) from None


def measured_runs(rows: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[str]]:
    """Keep the finished runs that `experiments.<name>` has measured, with a column `measured_runs`; and notes.

    Args:
        rows: runs as from `analysis.studies.records.load_records`.
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
        rows: as from `measured_runs`.
        name: of the measurement.

    Raises:
        UserError: if they were.
    """
    files: list[MeasurementFile] = list(rows["measured"])
    for option, value in files[0].options.items():
        others = [file.options.get(option) for file in files if file.options.get(option) != value]
        if others:
            studies = " ".join(dict.fromkeys(str(file.path.parent.parent) for file in files))
            raise UserError(
                f"the runs are measured with different options: {option} is {value} and {others[0]}; "
                f"`python -m experiments.{name} {studies}`, with the options you want, measures all alike"
            )


def _open(path: Path) -> MeasurementFile:
    try:
        with safe_open(path, "numpy") as file:
            content = plain_tree(parse_json(file.metadata()["intrinsic"]))
            odd = [name for name in file.keys() if plain(name) != name]  # noqa: SIM118 (no mapping)
        values, options = (dict(content[name]) for name in ("values", "options"))
        if odd:
            raise ValueError(f"an array is called {plain(odd[0], 60)}")
        for name, kinds in KINDS.items():
            if name in values and (isinstance(values[name], bool) or not isinstance(values[name], kinds)):
                raise ValueError(f"{name} is {plain(value_text(values[name]), 60)}")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from None
    return MeasurementFile(path, StrictDict(values, str(path)), StrictDict(options, str(path)))


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is damaged ({plain(' '.join(str(error).split()), 200)}): delete it and measure again")
