"""Selection of points from runs: curves are named, and each point's learning rate is chosen on validation data."""

import re
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from analysis.studies.config_keys import METHOD, seeds_text, value_text, varying_keys

COLUMNS = ["curve", "x", "rank", "dim", "seed", "lr", "setting", "tried", "chosen", "trained", "metric", "split",
           "epoch", "score", "validation_score", "start", "constant", "status", "run_id", "study", "error"]  # fmt: skip
COPIED = ("rank", "dim", "seed")  # what repeats one of them tells nothing more


def choose_settings(frame: pd.DataFrame, split: str, across: Sequence[str] = ()) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose at each (curve, x) the setting, the learning rate and the rest of `optim`, by mean validation score.

    Where settings were tried on different seeds, as rates that were tuned on one seed and the chosen one on three, the
    seeds' own part is taken off, by least squares of score = setting + seed. A setting of which a seed diverged is
    chosen only where every setting has one: the mean of the seeds that are left would flatter it. Failed runs (no
    memory, no disk) say nothing about a setting and have no part in the choice. Higher scores are better; of equal ones
    the lower learning rate is taken. Training scores are chosen by themselves: what a run memorised can't be seen in
    examples that it was not given.

    Args:
        frame: runs as from `load_records`, with the column `x` (NA: a method without an x).
        split: what `score` is of; goes into the rows.
        across: keys of the task that may differ between runs, and then name curves as those of the method do.

    Returns:
        The runs, with curve, setting, tried (settings at this x) and chosen; and the points: curve, x, trained,
        finished and runs (of the chosen setting), mean, sd (n-1, NaN for one run), setting, tried.
    """
    judge = "score" if split == "train" else "validation_score"
    rows = frame.assign(curve=_curve(frame, across), setting=_setting(frame), split=split)
    rows["draws"] = frame["config"].map(seeds_text)
    rows["order"] = rows["curve"].map(lambda curve: re.sub(r"\d+", lambda digits: digits[0].zfill(12), curve))
    rows = rows.sort_values(["order", "x", "lr", "setting", "seed", "run_id"], kind="stable", ignore_index=True)
    rows["tried"] = rows.groupby(["curve", "x"], dropna=False)["setting"].transform("nunique")
    rows["chosen"] = False
    points = []
    for (curve, x), here in rows.groupby(["curve", "x"], dropna=False, sort=False):
        settings = [runs for _, runs in here.groupby("setting", sort=False) if runs["score"].notna().any()]
        merits = _merits(settings, judge)
        best = max(
            settings,
            key=lambda runs: (not (runs["status"] == "diverged").any(), merits[runs["setting"].iloc[0]]),
            default=here,
        )
        rows.loc[best.index, "chosen"] = bool(settings)
        points.append({
            "curve": curve, "x": x, "trained": best["trained"].max(), "finished": best["score"].count(),
            "runs": len(best), "mean": best["score"].mean(), "sd": best["score"].std(),
            "setting": best["setting"].iloc[0] if settings else "none finished", "tried": here["tried"].iloc[0],
        })  # fmt: skip
    return rows[COLUMNS], pd.DataFrame(points)


def _merits(settings: Sequence[pd.DataFrame], judge: str) -> dict[str, float]:
    """By setting, the mean over its seeds of what it is judged by; less the seeds' part where they are not the same."""
    scored = [runs[runs[judge].notna()] for runs in settings]
    names = [runs["setting"].iloc[0] for runs in settings]
    means = dict(zip(names, (float(runs[judge].mean()) for runs in scored), strict=True))
    if len({tuple(sorted(runs["draws"])) for runs in scored}) < 2:
        return means
    rows = pd.concat(scored)
    design = np.hstack([pd.get_dummies(rows[key].astype(str)).to_numpy(float) for key in ("setting", "draws")])
    scores = rows[judge].to_numpy(float)
    parts = np.linalg.lstsq(design, scores - scores.mean(), rcond=None)[0]
    return dict(zip(sorted(names), parts.round(12).tolist(), strict=False))  # equal ones are equal


def points_table(points: pd.DataFrame, x: str) -> pd.DataFrame:
    """Write the points for a reader, with `x` as what it is: rank, dim or trained."""
    table = pd.DataFrame({"curve": points["curve"]})
    table[x] = points["x"]
    table["trained"] = points["trained"]
    counts = zip(points["finished"], points["runs"], strict=True)
    table["runs"] = [str(runs) if finished == runs else f"{finished} of {runs}" for finished, runs in counts]
    table[["mean", "sd"]] = points[["mean", "sd"]]
    tried = zip(points["setting"], points["tried"], strict=True)
    table["setting"] = [setting + (f" (best of {count})" if count > 1 else "") for setting, count in tried]
    return table.rename(columns={"trained": "trainable parameters"})


def failures(rows: pd.DataFrame) -> tuple[str, ...]:
    """Write a line for each run without a score."""
    lines = []
    for run in rows[rows["status"] != "finished"].itertuples():
        swept = " ".join(f"{name}={getattr(run, name)}" for name in ("rank", "dim") if pd.notna(getattr(run, name)))
        lines.append(f"{run.status} {run.run_id}: {run.curve} {swept} {run.setting} seed={run.seed}: {run.error}")
    return tuple(lines)


def _curve(frame: pd.DataFrame, across: Sequence[str]) -> pd.Series:
    """Name each run's curve: method and projection, and what tells it from others of the two.

    LoRA with alpha=8 and with alpha=16 at one rank are two curves, `lora, alpha=8` and `lora, alpha=16`; an alpha that
    follows the rank isn't named.
    """
    projection = frame["projection"].map(lambda name: "" if name == "Identity" else f" ({name.lower()})")
    names = frame["method"] + projection
    for name, group in frame.groupby(names):
        keys = _own(_telling(group, across), list(group["config"]))
        for index, flat in group["config"].items():
            said = [entry(key, flat) for key in sorted(keys) if key in flat or not _of_a_class(key, keys)]
            names[index] = ", ".join(dict.fromkeys([str(name), *said]))
    return names


def _telling(group: pd.DataFrame, across: Sequence[str]) -> set[str]:
    """The keys by which runs of one method and projection are of several curves.

    Those `across`, wherever they differ, unless the method has one size, and a curve over those of networks. Of the
    method's, those that differ between runs of equal sizes, whatever x these make: LoRA in one matrix and in all of
    them at one rank; then what differs at one x of what is left of a curve; and last the dim, which differs at one
    count with what is trained beside z.
    """
    configs = group["config"]
    counts = [key for key in configs.iloc[0] if _of_method(key) and all(type(flat.get(key)) is int for flat in configs)]
    sizes = configs.map(lambda flat: str([flat[key] for key in counts]))
    keys = set(varying_keys(group, across.__contains__, copied=COPIED)) if sizes.nunique() > 1 else set()
    for _, here in group.groupby(sizes):
        keys |= set(varying_keys(here, _of_method, copied=COPIED))
    for dims in (False, True):
        told = configs.map(partial(_values, sorted(keys)))
        for _, here in group.groupby([told, group["x"]], dropna=False):
            found = varying_keys(here, lambda key: key in across or _of_method(key), copied=COPIED)
            keys |= set(found) if dims else set(found) - {"dim"}
    return keys


def _values(keys: Sequence[str], flat: dict[str, object]) -> str:
    return str([value_text(flat.get(key)) for key in keys])


def _of_method(key: str) -> bool:
    return key.partition(".")[0] in METHOD


def _own(keys: set[str], configs: Sequence[dict[str, object]]) -> set[str]:
    """The keys less those of which the class says the value, such as the targets of one space and not of another."""
    classes = [key for key in sorted(keys) if key.endswith("._target_")]
    told = [tuple(flat.get(key) for key in classes) for flat in configs]

    def is_told(key: str) -> bool:
        values = {(kind, value_text(flat.get(key))) for kind, flat in zip(told, configs, strict=True)}
        return len(values) == len(set(told))

    return {key for key in keys if key in classes or not classes or not is_told(key)}


def _of_a_class(key: str, keys: set[str]) -> bool:
    """Whether the key is an argument of a class that is named itself, and which others may not have."""
    return f"{key.rpartition('.')[0]}._target_" in keys


def _setting(frame: pd.DataFrame) -> pd.Series:
    """Name each run's setting: its learning rate, and what else of `optim` differs between runs."""
    keys = varying_keys(frame, lambda key: key.startswith("optim.") and key != "optim.lr", copied=())
    rates = frame["lr"].map(lambda lr: [] if pd.isna(lr) else [f"lr={value_text(lr)}"])
    others = frame["config"].map(lambda flat: [entry(key, flat) for key in keys if key in flat])
    return (rates + others).str.join(", ")


def entry(key: str, flat: dict[str, object]) -> str:
    """Write a config entry for a reader: `alpha=8`, `space=LoRA`; the node itself, `source=null`, where it is null."""
    while key not in flat and any(key.startswith(f"{node}.") for node in flat):
        key = key.rpartition(".")[0]
    path, value = key.split("."), value_text(flat.get(key))
    return f"{path[-2]}={value.rpartition('.')[2]}" if path[-1] == "_target_" else f"{path[-1]}={value}"
