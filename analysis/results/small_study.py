"""A study in a small form: one JSON file that is committed, and the records of its runs again from it.

What all runs have in common stands once, and so does what those of a method have; a run has what is its own: size,
seed, rate, scores, counts, seconds. Weights, measurements, losses, the best epoch, and the epochs between the start and
the last one are not in it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.publication.public_record import public_record
from analysis.studies.records import every_once
from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically
from intrinsic.files.read_json import read_json
from intrinsic.files.records import NAME

Rows = list[dict[str, Any]]
FORMAT = 1
LEFT_OUT = ("best", "peak_memory_bytes", "fingerprint", "files")  # of a record
OF_EPOCH = ("loss", "seconds", "best")  # of an epoch, and of the scores of a split
DIGITS = 9  # of a score, behind the point
AGAIN = "write it again by python -m analysis.commit_results"


def pack(
    studies: Sequence[str | Path], commands: Sequence[str], note: str, measured: Mapping[str, Rows] = {}
) -> dict[str, Any]:
    """The runs of studies as one mapping: format, commands, note, common, and methods, each with its common part.

    Runs are in the order of methods, sizes and seeds.

    Args:
        studies: folders of runs; runs of several tasks may lie in them.
        commands: what made the runs, as it was typed.
        note: what else a reader must know; "" for nothing.
        measured: by the name of a figure that needs more than records, the rows that it has drawn.

    Raises:
        UserError: as `analysis.studies.records.every_once`.
    """
    frame, _ = every_once(studies)
    frame = frame.sort_values(["method", "rank", "dim", "lr", "seed", "run_id"], kind="stable")
    records = [_small(public_record(Path(folder))) for folder in frame["folder"]]
    common = shared(records)
    parts = []
    for method in dict.fromkeys(frame["method"]):
        of_method = [own(record, common) for record in records if record["method"] == method]
        alike = shared(of_method)
        parts.append({"common": alike, "runs": [own(run, alike) for run in of_method]})
    content = {"format": FORMAT, "commands": list(commands), "note": note, "common": common, "methods": parts}
    return content | ({"measured": dict(measured)} if measured else {})


def _small(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what no table needs: of its history the start is left, of its beginning the day."""
    kept = {key: value for key, value in record.items() if key not in LEFT_OUT}
    if kept.get("replicas") == 1:
        del kept["replicas"]
    if isinstance(kept.get("last"), dict):
        kept["last"] = _epoch(kept["last"])
    if isinstance(history := kept.get("history"), list):
        kept["history"] = [_epoch(epoch) for epoch in history[:1]]
    if isinstance(day := kept.get("started_at"), str):
        kept["started_at"] = day[:10]
    if isinstance(seconds := kept.get("seconds"), float):
        kept["seconds"] = round(seconds, 2)
    return kept


def _epoch(node: Any) -> Any:
    """Scores, rounded, without losses."""
    if isinstance(node, dict):
        return {key: _epoch(value) for key, value in node.items() if key not in OF_EPOCH}
    return round(node, DIGITS) if isinstance(node, float) else node


def shared(nodes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What all mappings have: keys with equal values, and of keys that are mappings in all of them what these share."""
    first, *others = nodes
    found = {}
    for key, value in first.items():
        if any(key not in other for other in others):
            continue
        values = [value, *(other[key] for other in others)]
        if all(isinstance(each, dict) for each in values):
            found[key] = shared(values)
        elif all(_same(each, value) for each in values):
            found[key] = value
    return found


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1, 1.0 and true are three values."""
    return json.dumps(one) == json.dumps(other)


def own(node: dict[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    """What a mapping has beside the common part."""
    left = {}
    for key, value in node.items():
        if key not in common:
            left[key] = value
        elif isinstance(value, dict) and (rest := own(value, common[key])):
            left[key] = rest
    return left


def merged(common: dict[str, Any], left: dict[str, Any]) -> dict[str, Any]:
    """The mapping that `own` has parted; keys of the common part come first."""
    whole = {
        key: merged(value, left.get(key, {})) if isinstance(value, dict) else value for key, value in common.items()
    }
    return whole | {key: value for key, value in left.items() if key not in common}


def text_of(content: dict[str, Any]) -> str:
    """The file: a line for each run, so that a change shows which."""
    lines = [f" {json.dumps(key)}: {_line(value)}," for key, value in content.items() if key != "methods"]
    parts = []
    for part in content["methods"]:
        runs = ",\n".join(f"   {_line(run)}" for run in part["runs"])
        parts.append(f'  {{"common": {_line(part["common"])}, "runs": [\n{runs}\n  ]}}')
    return "\n".join(["{", *lines, ' "methods": [\n' + ",\n".join(parts) + "\n ]", "}"]) + "\n"


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


def write_small_study(path: Path, content: dict[str, Any]) -> None:
    """Write the file, whole or not at all.

    Raises:
        UserError: if it cannot be written.
    """
    text = text_of(content)
    write_atomically(path, lambda partial: partial.write_text(text), remedy="choose another file with --out")


def read_small_study(path: Path) -> dict[str, Any]:
    """The mapping that `pack` has made.

    Raises:
        UserError: if it can't be read, or is no such file.
    """
    content = read_json(path, remedy=AGAIN)
    known = {"format": int, "commands": list, "note": str, "common": dict, "methods": list}
    if not isinstance(content, dict) or any(not isinstance(content.get(key), kind) for key, kind in known.items()):
        raise UserError(f"{path} is no study in the small form: {AGAIN}")
    if content["format"] != FORMAT:
        raise UserError(f"{path} has format {content['format']}, this program reads {FORMAT}: {AGAIN}")
    return content


def records_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of the runs.

    Raises:
        UserError: for a part of another form.
    """
    try:
        return [
            merged(content["common"], merged(part["common"], run))
            for part in content["methods"]
            for run in part["runs"]
        ]
    except (AttributeError, KeyError, TypeError):
        raise UserError(f"need the methods of a study in the small form, each with common and runs: {AGAIN}") from None


def unpack(content: dict[str, Any], folder: Path) -> Path:
    """Write the runs as a study, `folder`/<run id>/record.json, which every figure reads; returns the folder.

    Raises:
        UserError: for a run without a run id that can name a folder.
    """
    for record in records_of(content):
        run_id = record.get("run_id")
        if not isinstance(run_id, str) or not run_id.isalnum():
            raise UserError(f"need the runs of a study in the small form to have run ids, got {run_id!r:.50}: {AGAIN}")
        (folder / run_id).mkdir(parents=True, exist_ok=True)
        (folder / run_id / NAME).write_text(json.dumps(record, indent=1) + "\n")
    return folder
