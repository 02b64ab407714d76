"""Thresholds from runs: which scores, at which sizes, against which baselines."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from analysis.studies.config_keys import task_keys, value_text, varying_keys
from analysis.studies.floor import Floor
from analysis.studies.plain import plain
from analysis.studies.records import meeting
from analysis.studies.selection import choose_settings, entry
from intrinsic.errors import UserError
from intrinsic.threshold import Threshold, estimate_threshold

BASELINE = "full"
AXES = {"dim": "subspace dimension d", "rank": "rank r", "trained": "trainable parameters"}


@dataclass(frozen=True)
class Estimate:
    """One curve: its runs as numbers, and the threshold that they give."""

    curve: str
    dims: list[int]  # one a run, seeds repeat
    scores: list[float]
    baselines: list[float]
    threshold: Threshold | None  # None: too few sizes yet
    seeds: list[int]  # one a run

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        content = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "seeds"}
        return content | {"threshold": None if self.threshold is None else self.threshold.to_dict()}


def on_axis(frame: pd.DataFrame, axis: str) -> pd.Series:
    """The size of each run: `trained`, its trainable parameters, or an integer of its config; NA without one.

    Raises:
        UserError: if no run has it, or it is no count.
    """
    baseline = (frame["method"] == BASELINE) & (frame["projection"] == "Identity")
    values = frame["trained"] if axis == "trained" else frame["config"].map(lambda flat: flat.get(axis))
    values = values.mask(baseline)
    if not values.notna().any():
        raise UserError(f"no run has {axis}: need --axis to be an integer knob of the runs, such as dim or rank")
    wrong = [value for value in values.dropna().tolist() if not _is_size(value)]
    if wrong:
        raise UserError(f"need --axis to be an integer knob of the runs, got {axis}={plain(value_text(wrong[0]), 60)}")
    return values.astype("Int64")


def _is_size(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 2**53 and bool(value % 1 == 0)


def estimates(
    frame: pd.DataFrame, *, axis: str, split: str, across: Sequence[str] = (), **options: Any
) -> tuple[pd.DataFrame, pd.DataFrame, list[Estimate]]:
    """Choose the settings on validation data and estimate the threshold of each curve.

    Args:
        frame: runs of one task, as from `analysis.studies.records.load_records`.
        axis: see `on_axis`.
        split: what `score` is of.
        across: keys of the task in which runs may differ: the baseline from the curves, say. Where each of their values
            has a baseline of its own, as two networks have, curves are measured against their own, and named by them.
        options: of `estimate_threshold`; `floor` may also be one of `analysis.studies.floor.KINDS`.

    Returns:
        The rows and points of `analysis.studies.selection.choose_settings`, and an estimate for each curve.

    Raises:
        UserError: as `on_axis` and `estimate_threshold`; if there is no baseline, or more than one for a curve.
    """
    frame = frame.assign(x=on_axis(frame, axis))
    parts = [_of_one_baseline(part, name, split, across, options) for name, part in networks(frame, across).items()]
    rows, points = (pd.concat(tables, ignore_index=True) for tables in list(zip(*parts, strict=True))[:2])
    return rows, points, [each for *_, found in parts for each in found]


def one_baseline(frame: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """The runs less full training that does not meet every `key=value`: one target for all curves.

    Raises:
        UserError: as `meeting`, and if what is left of full training is of several tasks.
    """
    full = frame["method"] == BASELINE
    if not conditions or not full.any():
        return frame
    kept = meeting(frame[full], conditions)
    if tasks := task_keys(kept):
        raise UserError(
            f"need one baseline, got several with {' '.join(conditions)}: they differ in {', '.join(tasks)}"
        )
    return frame[~full | frame.index.isin(kept.index)]


def networks(frame: pd.DataFrame, across: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The runs of each baseline, by what tells it from others in `across`; all together where there is one for all."""
    full = frame[frame["x"].isna() & (frame["method"] == BASELINE)]
    keys = sorted(
        varying_keys(full, lambda key: key in across, copied=()), key=lambda key: not key.endswith("_target_")
    )
    if not keys:
        return {"": frame}
    values = frame["config"].map(lambda flat: tuple(value_text(flat.get(key)) for key in keys))
    named = {values[index]: flat for index, flat in full["config"].items()}
    alone = [value for value in dict.fromkeys(values) if value not in named]
    if alone:
        shown = ", ".join(f"{key}={value}" for key, value in zip(keys, alone[0], strict=True))
        raise UserError(f"need a baseline of each network or one for all, got none with {shown}: run method={BASELINE}")
    least = next(k for k in range(1, len(keys) + 1) if len({value[:k] for value in named}) == len(named))
    return {
        ", ".join(entry(key, flat) for key in keys[:least]): frame[values == value] for value, flat in named.items()
    }


def _of_one_baseline(
    frame: pd.DataFrame, name: str, split: str, across: Sequence[str], options: dict[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame, list[Estimate]]:
    rows, points = choose_settings(frame, split, across)
    if name:
        rows, points = (table.assign(curve=table["curve"] + f", {name}") for table in (rows, points))
    return rows, points, estimates_of(rows, options)


def estimates_of(rows: pd.DataFrame, options: dict[str, Any]) -> list[Estimate]:
    """An estimate for each curve with an x, against the one that is full training without an x.

    A diverged run of the chosen setting has no score, and no part in a mean; for "success" it is one that has not
    reached the target, with the worst score: the lowest of the curve, the floor or 0.

    Args:
        rows: as from `choose_settings`, of one baseline.
        options: see `estimates`.

    Raises:
        UserError: as `estimate_threshold` and `Floor`; if there is more than one baseline.
    """
    floor = Floor.of(options.get("floor"), options.get("chance"))
    options = {name: value for name, value in options.items() if name not in ("floor", "chance")}
    used = rows[rows["chosen"] & rows["score"].notna()]
    flat = used[used["x"].isna()]
    levels = [curve for curve in dict.fromkeys(flat["curve"]) if curve.partition(",")[0] == BASELINE]
    if len(levels) > 1:
        raise UserError(f"need one baseline, got {'; '.join(levels)}; choose with --where KEY=VALUE")
    baselines: list[float] = flat[flat["curve"].isin(levels)]["score"].tolist()
    found = []
    lost = rows[rows["chosen"] & (rows["status"] == "diverged") & (options.get("estimand") == "success")]
    for curve, finished in used[used["x"].notna()].groupby("curve", sort=False):
        runs = pd.concat([finished, lost[(lost["curve"] == curve) & lost["x"].notna()]]).sort_index()
        dims, seeds = runs["x"].astype(int).tolist(), runs["seed"].tolist()
        enough = len(set(dims)) >= 3 and baselines
        known: dict[str, Any] = floor.of_runs(finished, options.get("estimand", "mean")) if enough else {}
        scores = runs["score"].fillna(min(finished["score"].min(), known.get("floor") or 0.0)).tolist()
        threshold = estimate_threshold(dims, scores, baselines, seeds=seeds, **known, **options) if enough else None
        found.append(Estimate(str(curve), dims, scores, baselines, threshold, seeds))
    return found


def incomplete(found: Sequence[Estimate], axis: str) -> str | None:
    """Why no threshold can be told, in one line; None if all can."""
    if not found:
        return f"no run with a {axis} has finished"
    if not found[0].baselines:
        return f"no baseline: no run of {BASELINE} has finished; method={BASELINE} seed=0,1,2 makes some"
    few = [each.curve for each in found if each.threshold is None]
    return f"need runs at 3 values of {axis} or more for a threshold, {few[0]} has fewer" if few else None
