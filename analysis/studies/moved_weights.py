"""The weights that `experiments.updates` measured, one row for each run and weight: what three figures start from."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.studies.measurement_file import measured_runs
from analysis.studies.records import load_records
from analysis.studies.selection import choose_settings
from analysis.studies.weight import Weight
from intrinsic.errors import UserError


def moved_weights(
    studies: Sequence[str | Path],
    where: Sequence[str],
    wanted: Sequence[str],
    per: str,
    *,
    ranked: bool = False,
) -> tuple[pd.DataFrame, list[str]]:
    """Read the updates of the runs that are chosen on validation data (see `choose_settings`).

    Args:
        studies: folders of runs.
        where: see `analysis.studies.records.load_records`.
        wanted: parts of names, as in `query`, `layer.0` or `layer.*.output.dense`; a weight with one of them is kept.
            None given: the weights that most runs have moved, without the head, and the runs that have moved them.
        per: `type`: weights that differ only in numbers in their names, of one shape, share a label; `weight`: none do.
        ranked: only the runs that have a rank.

    Returns:
        One row a run and weight: weight (a `Weight`), name, label, head (whether it is the head's), curve, rank,
        x (rank or dim), run (curve and size), seed, run_id; and notes.

    Raises:
        UserError: as `load_records`, `measured_runs`; no weight of a part, or none moved in every run; per is neither.
    """
    if per not in ("type", "weight"):
        raise UserError(f"need per to be type or weight, got {per!r}")
    frame, notes = load_records(studies, where)
    frame, more = measured_runs(frame, "updates")
    if ranked and frame["rank"].isna().all():
        raise UserError("no run has a rank; `python run.py -m method=lora rank=8,64 seed=0,1 ...` makes some")
    if ranked:
        frame = frame[frame["rank"].notna()]
    rows, _ = choose_settings(frame.assign(x=frame["rank"].fillna(frame["dim"])), "test")
    if not rows["chosen"].all():
        more = [*more, f"runs of settings that validation did not choose, left out: {(~rows['chosen']).sum()}"]
    rows = rows[rows["chosen"]].merge(frame[["run_id", "measured"]], on="run_id")
    rows["run"] = [_run(*sizes) for sizes in zip(rows["curve"], rows["rank"], rows["dim"], strict=True)]
    found = [
        {"weight": Weight(name, shape, run.measured), "name": name, "head": name in run.measured.values["head"],
         **{key: getattr(run, key) for key in ("curve", "x", "rank", "run", "seed", "run_id")}}
        for run in rows.itertuples() for name, shape in run.measured.values["weights"].items()
    ]  # fmt: skip
    table = pd.DataFrame(found)
    table = table[[weight.rank > 0 for weight in table["weight"]]]
    table, left_out = _select(table, wanted)
    table["label"] = table["name"].map(_labels(table, per))
    return table.reset_index(drop=True), [*notes, *more, *left_out]


def _run(curve: str, rank: object, dim: object) -> str:
    """Name a curve at its size: `lora r=8`, `subspace (fastfood) d=300`, `full`."""
    sizes = [f"{letter}={size}" for letter, size in (("r", rank), ("d", dim)) if not pd.isna(size)]
    return " ".join([curve, *sizes[:1]])


def _select(table: pd.DataFrame, wanted: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """The weights that are asked for, or those that have moved in every run, and what that leaves out."""
    if wanted:
        found = {part: table["name"].map(lambda name, part=part: _has(name, part)) for part in wanted}
        for part, matches in found.items():
            if not matches.any():
                raise UserError(f"no weight that has moved has {part} in its name; there are {_some(table['name'])}")
        return table[np.logical_or.reduce(list(found.values()))].copy(), []
    backbone = table[~table["head"]]
    if backbone.empty:
        raise UserError(f"the head alone has moved; --weights {table['name'].iloc[0]} draws it")
    runs = backbone.groupby("name")["run_id"].nunique()
    common = backbone[backbone["name"].map(runs) == runs.max()]
    having = common.groupby("run_id")["name"].nunique()
    kept = common[common["run_id"].map(having) == common["name"].nunique()].copy()
    lacking = table[~table["run_id"].isin(kept["run_id"])]
    notes, here = [], table[table["run_id"].isin(kept["run_id"])]
    others = sorted(set(here["name"]) - set(kept["name"]))
    if others:
        notes.append(f"weights left out, the head or not moved in every run: {_some(others)}; --weights draws them")
    if len(lacking):
        notes.append(f"runs left out, which did not move {kept['name'].iloc[0]}: {_some(lacking['run'])}")
    return kept, notes


def _has(name: str, part: str) -> bool:
    """Whether the dotted name contains the dotted part, of which `*` is any number."""
    pattern = re.escape(part).replace(r"\*", r"\d+")
    return re.search(rf"(^|\.){pattern}(\.|$)", name) is not None


def _some(names: Sequence[str] | pd.Series) -> str:
    """A few of the names, in one line."""
    several = list(dict.fromkeys(names))
    return ", ".join(several[:6]) + f" and {len(several) - 6} more" * (len(several) > 6)


def _labels(table: pd.DataFrame, per: str) -> dict[str, str]:
    """Give each weight the shortest end of its name that tells it, or its type, from the others."""
    names = {name: name.removesuffix(".weight") for name in table["name"].unique()}
    if per == "type":
        types = {name: re.sub(r"(?<=\.)\d+(?=\.|$)", "*", short) for name, short in names.items()}
        shapes = table.assign(type=table["name"].map(types), shape=[w.shape for w in table["weight"]])
        mixed = set(shapes.groupby("type")["shape"].nunique().loc[lambda count: count > 1].index)
        names = {name: names[name] if types[name] in mixed else types[name] for name in names}
    ends: dict[str, str] = {}
    for name in set(names.values()):
        parts = name.split(".")
        tails = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
        others = [f".{other}" for other in set(names.values()) - {name}]
        ends[name] = next((t for t in tails if t != "*" and not any(o.endswith(f".{t}") for o in others)), name)
    return {name: ends[short] for name, short in names.items()}
