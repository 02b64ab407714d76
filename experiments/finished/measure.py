"""Measurements of finished runs: a file beside each record, made once, from which `analysis` draws."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from experiments.finished.finished import finished
from experiments.finished.reopen import reopen
from experiments.terminal.errors import one_line_errors
from experiments.terminal.lines import knobs
from intrinsic.errors import UserError
from intrinsic.files.plain_numbers import plain_numbers
from intrinsic.files.records import NAME, Record, read_record
from intrinsic.files.tensors import read_tensors, write_tensors
from intrinsic.terminal.command_parser import options_of, study_parser
from intrinsic.terminal.say import say

Measurement = tuple[dict[str, Any], dict[str, Tensor]]  # values that JSON can hold, and arrays by name


def measure(
    function: Callable[..., Measurement], *, seeds: bool | Sequence[str] = True, method: str | None = None
) -> None:
    """Make a command of a measurement: `python -m experiments.<name> outputs/STUDY...`.

    `function(run, *, option=default, ...)` measures one finished run. What it returns goes into
    <run>/<name>.safetensors, the values as its metadata. A run that has the file, with the same
    options, is skipped.

    Args:
        function: its name is the file's; options are its keyword arguments, numbers or strings, or tuples of them
            (an empty one says by its annotation of what).
        seeds: measure every run. False: of the runs that differ in seeds alone, the one of the lowest seed. Keys
            of the config: of the runs that agree in these, the one of the lowest seed.
        method: measure the runs of this method alone. None: of any.
    """
    parser = study_parser(function, "experiments", "folders of runs, or single runs")
    parser.add_argument("--device", default="auto", help="auto: a GPU where there is one (default: %(default)s)")
    for option, parameter in options_of(function):
        start = parameter.default
        several: dict[str, Any] = {"nargs": "+"} if isinstance(start, tuple) else {}
        kind = get_args(parameter.annotation)[0] if isinstance(start, tuple) else type(start)
        said = "default: " + (" ".join(map(str, start if several else [start])) or "chosen by the program")
        parser.add_argument(option, type=kind, default=start, help=said, **several)
    with one_line_errors():
        options = vars(parser.parse_args())
        studies, device = options.pop("studies"), options.pop("device")
        _measure(function, [Path(study) for study in studies], device, json.loads(json.dumps(options)), seeds, method)


def _measure(
    function: Callable[..., Measurement],
    studies: Sequence[Path],
    device: str,
    options: dict[str, Any],
    seeds: bool | Sequence[str],
    method: str | None,
) -> None:
    runs = [run for run in _runs(studies, seeds) if method in (None, run[1].method)]
    if not runs:
        raise UserError(
            f"{function.__name__} measures runs of method {method}, and none has finished in "
            f"{', '.join(map(str, studies))}; `python run.py method={method} study={studies[0].name}` makes one"
        )
    missing = [(folder, record) for folder, record in runs if not _done(_file(folder, function), options)]
    say(f"{function.__name__}: {len(missing)} of {len(runs)} runs to measure", sys.stderr)
    began, failed = time.monotonic(), 0
    for number, (folder, record) in enumerate(missing, start=1):
        result = str(folder)
        try:
            values, arrays = function(reopen(folder, device), **options)
            content = {"values": plain_numbers(values), "options": options}
            write_tensors(_file(folder, function), arrays, content, remedy="make the folder of the run writable")
        except UserError as error:
            if len(missing) == 1:
                raise
            failed, result = failed + 1, f"not measured: {error}"
        left = (time.monotonic() - began) / number * (len(missing) - number)
        say(f"[{number}/{len(missing)}, {left:4.0f} s left]  {knobs(record.config):38} {result}")
    if failed == len(missing) > 0:
        raise UserError(f"none of the {failed} runs could be measured")


def _file(folder: Path, function: Callable[..., Measurement]) -> Path:
    return folder / f"{function.__name__}.safetensors"


def _done(file: Path, options: dict[str, Any]) -> bool:
    """Whether the run is measured with these options; a damaged file is measured again."""
    try:
        return file.is_file() and bool(read_tensors(file)[1].get("options") == options)
    except UserError:
        return False


def _runs(studies: Sequence[Path], seeds: bool | Sequence[str]) -> Iterator[tuple[Path, Record]]:
    """The finished runs of the studies, with their records.

    Raises:
        UserError: if a folder has none.
    """
    seen: set[str] = set()
    for study in studies:
        folders = [study] if (study / NAME).is_file() else sorted(file.parent for file in study.glob(f"*/{NAME}"))
        runs = [(folder, record) for folder in folders if (record := finished(folder)) is not None]
        if not runs:
            others = Counter(record.status for folder in folders if (record := read_record(folder)) is not None)
            said = ": ".join(["", ", ".join(f"{count} {status}" for status, count in others.items())]) if others else ""
            raise UserError(f"no finished run in {study}{said}; python run.py study=NAME makes one in outputs/NAME")
        for folder, record in sorted(runs, key=lambda run: run[1].config["seed"]):
            config = record.config
            kept = config.keys() - {"seed", "seeds", "study"} if isinstance(seeds, bool) else config.keys() & set(seeds)
            same = folder.name if seeds is True else json.dumps({key: config[key] for key in sorted(kept)})
            if same not in seen:
                seen.add(same)
                yield folder, record
