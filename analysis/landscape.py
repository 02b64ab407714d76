"""The figure of the loss around theta_0, around the solution, and along the line between them.

python run.py method=subspace study=inside              makes a run; so does any other method
python -m experiments.landscape outputs/inside          measures the loss (one seed of each setting)
python -m analysis.landscape outputs/inside             draws it
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.command import program
from analysis.figures.figure import FigureResult, save_figure
from analysis.figures.loss_planes import PLANES, draw_planes
from analysis.studies.measurement_file import MeasurementFile, check_alike, measured_runs
from analysis.studies.records import load_records
from analysis.studies.selection import choose_settings
from intrinsic.errors import UserError


def landscape(
    *studies: str | Path,
    out: str | Path | None = None,
    where: Sequence[str] = (),
    most: int = 3,
) -> FigureResult:
    """Draw three panels for each run: the loss on two planes, in one colour scale, and loss and score on the line.

    The planes' axes have the distance from θ₀ to the solution as their unit; see `experiments.landscape` for the
    directions. Of each method the run with the best validation score is drawn, of a single method every size. Grey:
    the loss is not finite. Dotted: the best constant answer. Writes landscape.png, .pdf and .csv (a row a point).

    Args:
        studies: folders of runs.
        out: folder of the files; None: `figures` in the first study.
        where: see `load_records`.
        most: how many runs are drawn at most, those with the best validation scores.

    Raises:
        UserError: no run is measured, or the runs have different options; as `analysis.studies.records.load_records`.
    """
    if most < 1:
        raise UserError(f"need most >= 1, got most={most}")
    rows, notes = load_records(studies, where)
    rows, more = _one_a_size(rows)
    check_alike(rows, "landscape")
    best = rows.sort_values("validation_score", ascending=False, kind="stable")
    best = best if best["method"].nunique() == 1 else best.drop_duplicates("method")
    drawn = best.head(most).sort_values(["trained", "run_id"], ascending=[False, True], kind="stable")
    if left := sorted(set(rows["label"]) - set(drawn["label"])):
        notes.append(f"measured but not drawn: {'; '.join(left)}; choose with --where, or --most")
    points = pd.concat([_points(run.label, run.run_id, run.measured) for run in drawn.itertuples()], ignore_index=True)
    lost = int((~np.isfinite(points["loss"])).sum())
    if lost:
        notes.append(f"the loss is not finite at {lost} of {len(points)} points: grey")
    figure = draw_planes(dict(zip(drawn["label"], drawn["measured"], strict=True)))
    home = Path(studies[0])
    paths = save_figure(figure, points, "landscape", home / "figures" if out is None else Path(out))
    table = pd.DataFrame([_summary(run.label, run.measured) for run in drawn.itertuples()])
    return FigureResult(
        rows=points,
        table=table,
        notes=[*notes, *more],
        paths=paths,
        figure=figure,
        results=tuple(_result(run.label, run.measured) for run in drawn.itertuples()),
    )


def _one_a_size(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Of each method and size the setting that is best on validation data, its lowest measured seed; and notes."""
    there, _ = measured_runs(rows, "landscape")
    chosen, _ = choose_settings(rows.assign(x=rows["rank"].fillna(rows["dim"])), "test")
    chosen = chosen[chosen["chosen"] & chosen["score"].notna()]
    chosen = chosen.assign(label=[_label(run) for run in chosen.itertuples()])
    found = there.merge(chosen[["run_id", "label"]], on="run_id").sort_values("seed").drop_duplicates("label")
    studies = " ".join(dict.fromkeys(str(Path(folder).parent) for folder in rows["folder"]))
    command = f"`python -m experiments.landscape {studies}`"
    if found.empty:
        raise UserError(f"none of the runs that are best on validation data is measured; {command} measures them")
    missing = sorted(set(chosen["label"]) - set(found["label"]))
    return found, [f"not measured: {'; '.join(missing)}; {command} measures them"] * bool(missing)


def _label(run: Any) -> str:
    sizes = [f"{key} {getattr(run, key)}" for key in ("rank", "dim") if pd.notna(getattr(run, key))]
    return ", ".join([run.curve, *sizes])


def _points(label: str, run_id: str, file: MeasurementFile) -> pd.DataFrame:
    """One row for each point: run, panel, a, b or t, loss, score."""
    axis, at = file.array("axis"), file.array("line/at")
    b, a = (part.ravel() for part in np.meshgrid(axis, axis, indexing="ij"))
    parts: list[dict[str, Any]] = [{"panel": name, "a": a, "b": b} for name in PLANES]
    parts.append({"panel": "line", "t": at})
    frames = [
        pd.DataFrame(
            {"run": label, **part, **{key: file.array(f"{part['panel']}/{key}").ravel() for key in ("loss", "score")}}
        )
        for part in parts
    ]
    return pd.concat(frames, ignore_index=True).assign(run_id=run_id)


def _middle(file: MeasurementFile, name: str) -> float:
    grid = file.array(f"{name}/loss")
    return float(grid[len(grid) // 2, len(grid) // 2])


def _summary(label: str, file: MeasurementFile) -> dict[str, Any]:
    at, loss = file.array("line/at"), file.array("line/loss")
    lowest = int(np.argmin(np.where(np.isnan(loss), np.inf, loss)))
    guess = file.values["guess"].get("loss", np.nan)
    below = {name: f"{(file.array(f'{name}/loss') < guess).mean():.0%}" for name in PLANES}
    return {
        "run": label,
        "distance": float(file.values["distance"]),
        "loss at θ₀": _middle(file, "start"),
        "at θ*": _middle(file, "solution"),
        "lowest on the line": float(loss[lowest]),
        "at t": f"{at[lowest]:.2f}",
        "plane of θ₀ below guessing": below["start"] if guess == guess else "",
        "of θ*": below["solution"] if guess == guess else "",
    }


def _result(label: str, file: MeasurementFile) -> str:
    at, loss = file.array("line/at"), file.array("line/loss")
    between = loss[(at >= 0) & (at <= 1)]
    ends = max(between[0], between[-1])
    if not np.isfinite(between).all():
        return f"{label}: the loss is not finite everywhere between θ₀ and the solution"
    if between.max() <= ends:
        return f"{label}: no barrier on the line from θ₀ to the solution"
    return f"{label}: a barrier on the line from θ₀ to the solution: {between.max():.4g}, {between.max() - ends:.4g} " \
           f"above the higher end"  # fmt: skip


if __name__ == "__main__":
    program(landscape)
