"""The score that is left of full fine-tuning at rank k, beside LoRA trained at rank k.

python run.py -m method=full seed=0,1 study=inside                 makes the runs to cut
python run.py -m rank=1,2,4,8 seed=0,1 study=inside                makes LoRA's
python -m experiments.truncate outputs/inside                      cuts and scores
python -m analysis.truncation outputs/inside                       draws it
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.figures.command import program
from analysis.figures.figure import FigureResult, save_figure
from analysis.figures.rank_cuts import BASE, LORA, NULL, UPDATE, draw_cuts, variants
from analysis.studies.measurement_file import MeasurementFile, check_alike, measured_runs
from analysis.studies.records import load_records
from analysis.studies.selection import choose_settings
from intrinsic.errors import UserError

ARRAYS = {"update": UPDATE, "pretrained": BASE, "update_random": UPDATE + NULL, "pretrained_random": BASE + NULL}


def truncation(
    *studies: str | Path,
    out: str | Path | None = None,
    where: Sequence[str] = (),
    split: str = "test",
    fraction: float = 0.9,
) -> FigureResult:
    """Draw the score after cutting full fine-tuning's ΔW, and the pretrained W₀, to rank k, and LoRA's at rank k.

    Each matrix is cut by itself; see `experiments.truncate` for what stays. Of full fine-tuning the setting is drawn
    that is best on validation data, of LoRA that of each rank. Dashed: the same number of singular triples, drawn at
    random. Writes truncation.png, .pdf and .csv (one row a score).

    Args:
        studies: folders of runs.
        out: folder of the files; None: `figures` in the first study.
        where: see `load_records`.
        split: see `load_records`.
        fraction: the results name the smallest k that keeps this fraction of full fine-tuning's score, in (0, 1].

    Raises:
        UserError: no run of full is there or measured, or not on this split; the runs are measured with different
            options, or differ in more than the seed; as `analysis.studies.records.load_records`.
    """
    if not 0 < fraction <= 1:
        raise UserError(f"need 0 < fraction <= 1, got fraction={fraction}")
    rows, notes = load_records(studies, where, split)
    home = Path(studies[0])
    full, lora = (_chosen(rows, method, split) for method in ("full", "lora"))
    study = f"study={shlex.quote(home.resolve().name)}"
    if full.empty:
        raise UserError(f"no run of full has finished in {', '.join(map(str, studies))}; "
                        f"`python run.py method=full {study}` makes one")  # fmt: skip
    if lora.empty:
        notes.append(f"no run of LoRA to compare with; `python run.py -m rank=1,2,4,8 {study}` makes some")
    full, more = measured_runs(full, "truncate")
    first: MeasurementFile = full["measured"].iloc[0]
    _check(full, split)
    metric, kept = str(rows["metric"].max()), first.values["kept"]
    points = pd.concat([_points(full, split), _trained(lora)], ignore_index=True)
    guess, best = first.values["guess"][split], float(full["score"].mean())
    notes = [*notes, *more, *_notes(first, lora, split)]
    figure = draw_cuts(points, best, guess, f"{split} {metric}")
    paths = save_figure(figure, points, "truncation", home / "figures" if out is None else Path(out))
    return FigureResult(
        rows=points,
        table=_table(points),
        notes=notes,
        paths=paths,
        figure=figure,
        results=(f"kept as trained beside the {len(first.values['matrices'])} matrices that are cut: {kept}",
                 *_results(points, best, fraction)),
    )  # fmt: skip


def _chosen(rows: pd.DataFrame, method: str, split: str) -> pd.DataFrame:
    """The finished runs of a method at the settings that are best on validation data, with their `curve`."""
    chosen, _ = choose_settings(rows.assign(x=rows["rank"]), split)
    chosen = chosen[chosen["chosen"] & chosen["score"].notna()]
    return rows[rows["method"] == method].merge(chosen[["run_id", "curve"]], on="run_id")


def _check(full: pd.DataFrame, split: str) -> None:
    """Refuse what cannot be drawn as one curve."""
    if full["curve"].nunique() > 1:
        raise UserError(
            f"need one kind of full fine-tuning, got {'; '.join(sorted(set(full['curve'])))}; pass studies of one"
        )
    check_alike(full, "truncate")
    files: list[MeasurementFile] = list(full["measured"])
    studies = " ".join(dict.fromkeys(str(file.path.parent.parent) for file in files))
    if split not in files[0].values["splits"]:
        raise UserError(
            f"the cuts have no scores on split={split}; `python -m experiments.truncate {studies} --splits {split}` "
            "measures them"
        )


def _points(full: pd.DataFrame, split: str) -> pd.DataFrame:
    """One row for each score of the cut runs: curve, k, seed, draw, score, run_id."""
    found = []
    for run in full.itertuples():
        file: MeasurementFile = run.measured
        at, place = file.array("ranks"), file.values["splits"].index(split)
        names = [name for name in ARRAYS if file.options["draws"] or not name.endswith("random")]
        for name in names:
            scores = file.array(name)
            for draw, curve in enumerate(scores if scores.ndim == 3 else [scores]):
                found += [
                    {"curve": ARRAYS[name], "k": int(k), "seed": run.seed, "draw": draw if scores.ndim == 3 else pd.NA,
                     "score": float(score), "run_id": run.run_id}
                    for k, score in zip(at, curve[place], strict=True)
                ]  # fmt: skip
    return pd.DataFrame(found).astype({"draw": "Int64"})


def _trained(lora: pd.DataFrame) -> pd.DataFrame:
    curve = [LORA + name.removeprefix("lora") for name in lora["curve"]]
    named = lora.assign(curve=curve, draw=pd.NA).rename(columns={"rank": "k"})
    named = named[["curve", "k", "seed", "draw", "score", "run_id"]]
    return named.astype({"k": int, "draw": "Int64"}).sort_values(["k", "seed"])


def _notes(first: MeasurementFile, lora: pd.DataFrame, split: str) -> list[str]:
    notes = []
    heads = {flat.get("head") for flat in lora["config"]}
    if "freeze" in heads and first.options["keep"] != "nothing":
        notes.append("LoRA's head was frozen here, the cut runs keep what they trained beside the matrices; "
                     "experiments.truncate --keep nothing leaves that out")  # fmt: skip
    if first.values["guess"][split] is None:
        notes.append(f"no line for guessing: {first.values['metric']} of a constant answer is undefined")
    return notes


def _means(points: pd.DataFrame) -> pd.DataFrame:
    """The mean score: a row for each k, a column for each curve."""
    means = points.pivot_table("score", "k", "curve", aggfunc="mean", observed=True)
    curves = (UPDATE, UPDATE + NULL, *variants(points), BASE, BASE + NULL)
    return means[[curve for curve in curves if curve in means]]


def _table(points: pd.DataFrame) -> pd.DataFrame:
    short = {UPDATE + NULL: "ΔW, random k", BASE + NULL: "W₀, random k"}
    return _means(points).rename(columns=lambda curve: short.get(curve, curve.replace("rank k", "k"))).reset_index()


def _results(points: pd.DataFrame, best: float, fraction: float) -> list[str]:
    """What is learned, in words: the smallest k that keeps the fraction, on every curve."""
    lines, means = [], _means(points)
    last = means.index.max()
    for curve in (UPDATE, *variants(points), BASE):
        column = means[curve].dropna()
        enough = column[column >= fraction * best]
        says = f"at rank {enough.index[0]} of {last}" if len(enough) else f"at no rank up to {column.index.max()}"
        lines.append(f"{curve}: {100 * fraction:g} % of full fine-tuning's {best:.4f} is kept {says}")
    for curve in variants(points):
        gap = (means[curve] - means[UPDATE]).dropna()
        if len(gap):
            lines.append(f"{curve}, less the update cut to it: between {gap.min():+.4f} and {gap.max():+.4f}, "
                         f"the widest at rank {gap.abs().idxmax()}")  # fmt: skip
    return lines


if __name__ == "__main__":
    program(truncation)
