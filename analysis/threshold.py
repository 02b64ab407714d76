"""d90, the smallest size that reaches 90 % of full training, with its interval, from the records of a study.

python run.py -m method=subspace dim=10,30,100,300,1000 seed=0,1,2 study=dims     makes the runs of a plain grid
python run.py -m method=full seed=0,1,2 study=dims                                makes the baseline
python -m analysis.threshold outputs/dims                                         measures and draws

python -m analysis.threshold outputs/fc outputs/lenet --across model             two networks, and the ratio of the two

`hydra/sweeper=threshold` searches where to run, and ends with the same file and figure.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.figures.figure import COLOURS, OUT, CurvesResult, draw_curves, save_figure
from analysis.figures.level import Level
from analysis.figures.start_levels import start_levels
from analysis.studies.config_keys import keys_under
from analysis.studies.differences import differences, differences_table
from analysis.studies.efforts import effort_lines, efforts
from analysis.studies.estimates import AXES, Estimate, estimates, incomplete, one_baseline
from analysis.studies.fallen import fallen
from analysis.studies.floor import Floor, without_start
from analysis.studies.records import load_records
from analysis.studies.selection import failures, points_table
from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically

FORMAT = 1
BANDS = 3  # intervals that may be shown as bands behind the curves


def threshold(
    *studies: str | Path,
    out: str | Path | None = None,
    split: str | None = None,
    epoch: str = "last",
    metric: str | None = None,
    where: Sequence[str] = (),
    axis: str = "dim",
    fraction: float = 0.9,
    floor: str | float = "none",
    chance: float | None = None,
    estimator: str = "auto",
    estimand: str = "mean",
    confidence: float = 0.95,
    across: Sequence[str] = (),
    baseline: Sequence[str] = (),
    runs: Sequence[str] | None = None,
    name: str = "threshold",
    setting: Sequence[str] = (),
) -> CurvesResult:
    """Estimate the threshold of each curve, and draw the curves with target and intervals.

    At each size the learning rate with the best mean validation score counts. Thresholds are reported on test data;
    beside them stand those of validation data, in which a search looks. Of several curves every two are compared by the
    ratio of their thresholds. Where the start of a curve reaches the target, its threshold is 0, and nothing is fitted.
    Writes threshold.json into the first study, or into `out`, and threshold.png, .pdf and .csv into its folder
    `figures`, or into `out`.

    Args:
        studies: folders of runs, of one task, the baseline among them (method full, several seeds).
        out: folder of all files.
        split: the only split that counts, `test`, `validation` or `train` (default: test, and validation beside it).
        epoch: `last`, or `best` for each run's best epoch on validation data.
        metric: see `analysis.studies.records.load_records`.
        where: `key=value` filters on the config.
        axis: the size: an integer knob of the runs, or `trained` for the count of trainable parameters.
        fraction: of the baseline, in (0, 1).
        floor: the target is floor + fraction * (baseline - floor): `none` for 0, `chance` for the score of a constant
            answer, `start` for the score before any training, or a number.
        chance: the same as a number, by its older name.
        estimator: see `intrinsic.estimate_threshold`, as for estimand and confidence.
        estimand: `mean` or `success`, for which a diverged run is one that has not reached the target.
        confidence: of the interval.
        across: dotted config keys, or nodes such as `model`, in which runs may differ: curves are named by them, and
            each has the baseline of its own network, or the one that there is.
        baseline: `key=value` of the runs of full training that set the target of all curves, `model.name=NAME`, say.
        runs: only runs with these ids.
        name: of the files.
        setting: what the runs have in common beside their task, for the file.

    Raises:
        UserError: as `load_records` and `estimate_threshold`; if there are fewer than three sizes, or no baseline.
    """
    asked = Floor.of(floor, chance, "--floor")
    reported = split or "test"
    frame, notes = load_records(studies, where, reported, epoch, runs, across, metric)
    options: dict[str, Any] = {"fraction": fraction, "floor": floor, "chance": chance, "estimator": estimator}
    options |= {"estimand": estimand, "confidence": confidence, "axis": axis, "across": keys_under(frame, across)}
    rows, points, found = estimates(one_baseline(frame, baseline), split=reported, **options)
    problem = incomplete(found, axis)
    if problem is not None:
        raise UserError(f"{', '.join(map(str, studies))}: {problem}")
    beside: list[Estimate] = []
    if split is None:
        seen, _ = load_records(studies, where, "validation", epoch, runs, across, metric)
        beside = estimates(one_baseline(seen, baseline), split="validation", **options)[2]
    pairs = differences(found)
    effort = effort_lines(efforts(rows, frame))
    ylabel = f"{reported} {rows['metric'].max()}{' at the best epoch' * (epoch == 'best')}"
    figure = _figure(rows, found, axis, ylabel, asked.above, effort)
    home = Path(studies[0])
    paths = save_figure(figure, rows, name, home / "figures" if out is None else Path(out))
    target = (home if out is None else Path(out)) / f"{name}.json"
    content = {"format": FORMAT, "axis": axis, "split": reported, "epoch": epoch, "metric": rows["metric"].max()}
    content["floor"] = asked.kind if asked.score is None else asked.score
    content |= {"setting": list(setting)} if setting else {}
    content["curves"] = [each.to_dict() | {"points": _table(points, each.curve)} for each in found]
    if beside:
        content["validation"] = [each.to_dict() for each in beside]
    if len(pairs):
        content["ratios"] = pairs.astype(object).where(pairs.notna(), None).to_dict("records")
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_atomically(target, lambda path: path.write_text(text), remedy=OUT)
    results = [f"{each.curve}: {each.threshold}" for each in found]
    results += [f"on validation data, {each.curve}: {_short(each)}" for each in beside]
    return CurvesResult(
        rows=rows,
        table=points_table(points, axis),
        more=(differences_table(pairs),) if len(pairs) else (),
        points=points,
        notes=[*notes, *fallen(found, axis), *without_start(rows), *(_one_split(rows) if split is None else [])],
        paths=(target, *paths),
        figure=figure,
        results=(*results, *failures(rows)),
        effort=effort,
    )


def _short(each: Estimate) -> str:
    """`d90 = 170 [156, 190]`, without how it was found."""
    return str(each.threshold).partition(" (")[0]


def _one_split(rows: pd.DataFrame) -> list[str]:
    """A note for a task whose validation data are its test data: the toy's."""
    used = rows[rows["chosen"] & rows["score"].notna()]
    if not used["score"].equals(used["validation_score"]):
        return []
    return ["validation and test scores are the same in every run: the search has seen what is reported"]


def _figure(
    rows: pd.DataFrame, found: Sequence[Estimate], axis: str, ylabel: str, above: str, effort: Sequence[str]
) -> Any:
    first = found[0].threshold
    assert first is not None
    percent = f"{100 * first.fraction:g} %{above}"
    sets: dict[tuple[float, float], list[int]] = {}
    for number, each in enumerate(found):
        if each.threshold is not None:
            sets.setdefault((each.threshold.baseline, each.threshold.target), []).append(number)
    own = {key: curve for key, (curve, *others) in sets.items() if len(sets) > 1 and not others}
    levels = []
    for key in sets:
        colour = COLOURS[own[key] % len(COLOURS)] if key in own else "black"
        levels.append(Level(f"full {key[0]:.3f}", key[0], "-", colour))
        levels.append(Level(f"{percent} {key[1]:.3f}", key[1], "--", colour))
    levels += start_levels(each.threshold.start for each in found if each.threshold is not None)
    label = AXES.get(axis, axis)
    shown = {each.curve: f"{each.curve}: {_short(each)}" for each in found}
    curves = rows[rows["x"].notna()].assign(curve=lambda frame: frame["curve"].map(shown))
    figure = draw_curves(curves, xlabel=label, ylabel=ylabel, levels=levels, effort=effort)
    axes = figure.axes[0]
    left, right = axes.get_xlim()
    for number, each in enumerate(found):
        if each.threshold is not None and each.threshold.censored != "start":
            low, high = each.threshold.low or left, each.threshold.high or right
            value = each.threshold.value if each.threshold.censored is None else None
            colour = COLOURS[number % len(COLOURS)]
            if len(found) <= BANDS:
                axes.axvspan(low, high, color=colour, alpha=0.15, lw=0, zorder=0)
                if value is not None:
                    axes.axvline(value, color=colour, lw=1.0, zorder=1)
            else:  # a bar at the foot for each: bands would hide each other
                look: Any = {"color": colour, "transform": axes.get_xaxis_transform(), "zorder": 1}
                height = 0.03 * (number + 1)
                axes.plot([low, high], [height, height], lw=2.5, alpha=0.5, solid_capstyle="butt", **look)
                if value is not None:
                    axes.plot([value], [height], marker="|", ms=7, mew=1.8, **look)
    axes.set_xlim(left, right)
    return figure


def _table(points: pd.DataFrame, curve: str) -> list[dict[str, Any]]:
    """The points of a curve: size, runs, mean score, sd, setting, settings tried."""
    kept = points[(points["curve"] == curve) & points["mean"].notna()][
        ["x", "finished", "mean", "sd", "setting", "tried"]
    ]
    return [
        {key: None if pd.isna(value) else value for key, value in row.items()}
        for row in kept.astype({"x": int}).to_dict("records")
    ]


if __name__ == "__main__":
    from analysis.figures.command import program

    program(threshold)
