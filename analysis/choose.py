"""A recommendation for a model and a task: which rank, which matrices, which learning rate, and what it rests on.

python run.py -m method=lora rank=1,2,4,8 lr=0.003,0.01 seed=0,1,2 study=ranks    makes the runs
python run.py -m method=full seed=0,1,2 study=ranks                               makes the baseline
python -m experiments.gradients outputs/ranks                                     measures the gradients at theta_0
python -m experiments.updates outputs/ranks                                       measures what training moved
python -m analysis.choose outputs/ranks                                           recommends
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.advice.choose_figure import choose_figure
from analysis.advice.matrix_gains import MatrixGains
from analysis.advice.rank_pattern import rank_pattern
from analysis.advice.recommendation import interval, recommendation
from analysis.advice.smallest_rank import SmallestRank, smallest_rank
from analysis.figures.command import program
from analysis.figures.figure import FigureResult, save_figure
from analysis.figures.footer import footer
from analysis.studies.efforts import effort_lines, efforts
from analysis.studies.measurement_file import MeasurementFile, measured_runs
from analysis.studies.records import load_records
from analysis.studies.selection import choose_settings as settle
from analysis.studies.selection import failures, points_table
from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically


def choose(
    *studies: str | Path,
    out: str | Path | None = None,
    where: Sequence[str] = (),
    floor: str | float = "none",
    chance: float | None = None,
    fractions: Sequence[float] = (0.9, 0.99),
    rank: int | None = None,
) -> FigureResult:
    """Recommend, by validation scores of the records, gradients at theta_0 and the updates that training found.

    The rank is the threshold of `intrinsic.estimate_threshold` on the axis of ranks, rounded up, as are the ends of its
    interval. Matrices are ordered by gain = sqrt(sigma_1^2 + ... + sigma_r^2) / (r (m + n)): how fast the loss falls
    along the best update of rank r, by unit of its norm and by trained number (see `experiments.gradients`). Beside it
    stands their share of ||dW||_F^2 after training. Test scores are told and choose nothing.

    Args:
        studies: folders of runs, of one task.
        out: folder of choose.png, .pdf and .csv, and, where gradients are measured, of choose.json: ranks by type of
            matrix, as arguments of PEFT's LoraConfig (see `rank_pattern`).
        where: `key=value` filters on the config.
        floor: see `analysis.threshold`: fractions are of what is above it.
        chance: see there.
        fractions: of full training that a rank is to reach, rising; the last one decides.
        rank: r of the gains (default: the recommended rank, or 1 where no run has one).

    Raises:
        UserError: as `load_records`, `smallest_rank` and `gains`; if there is neither a run of LoRA nor a gradient.

    Source: Hu et al. 2021, arXiv:2106.09685, section 7.1 and 7.2, whose questions these are; they compare trained runs.
    """
    frame, notes = load_records(studies, where, "validation")
    tests = load_records(studies, where)[0].set_index("run_id")["score"]
    sizes = smallest_rank(frame, fractions, chance, floor)
    gradients = _measured(frame, "gradients")
    if sizes is None and not gradients:
        raise UserError(f"nothing to choose by: {_make(studies, 'lora')}, {_make(studies, 'gradients')}")
    problem = "no run of LoRA has finished" if sizes is None else sizes.problem
    if problem is not None:
        notes.append(f"no smallest rank: {problem}; {_make(studies, 'full' if 'baseline' in problem else 'lora')}")
    if not gradients:
        notes.append(f"no gradients: {_make(studies, 'gradients')}")
    table, results, parts = pd.DataFrame(), [], []
    if sizes is not None:
        table = points_table(sizes.points, "rank")
        results += [f"{sizes.curve}: {interval(threshold)}" for threshold in sizes.thresholds]
        rates = ", ".join(
            f"rank {rank} {setting}" for rank, setting in zip(table["rank"], table["setting"], strict=True)
        )
        results.append(f"by validation: {rates}")
        parts.append(sizes.rows.assign(part="run", test_score=tests[sizes.rows["run_id"]].to_numpy()))
    offers = None
    if gradients:
        moved = _moved(frame, sizes)
        without = [label for label, found in moved.items() if not found]
        if without:
            notes.append(f"no updates of {' and '.join(without)}: {_make(studies, 'updates')}")
        kept = int(gradients[0].options["keep"])
        usual = 1 if sizes is None else min(sizes.rank, kept)
        offers = MatrixGains.of(
            gradients[0], usual if rank is None else rank, {label: found for label, found in moved.items() if found}
        )
        table = offers.table()
        results += offers.agreement()
        parts.append(offers.matrices.assign(part="matrix", rank=offers.rank))
    results.append(recommendation(sizes, offers, tests))
    place = Path(studies[0]) / "figures" if out is None else Path(out)
    pattern = {} if offers is None else rank_pattern(gradients[0], offers)
    if offers is not None:
        results.append(
            f"at the budget of rank {offers.rank}, by the gradients at theta_0 alone: space.rank_pattern="
            f"{json.dumps(pattern) if pattern else 'null'}; for PEFT's LoraConfig: {place / 'choose.json'}"
        )
    figure = choose_figure(sizes, offers)
    effort = () if sizes is None else effort_lines(efforts(sizes.rows, frame))
    footer(figure, effort)
    rows = pd.concat(parts, ignore_index=True)
    paths = save_figure(figure, rows, "choose", place)
    if offers is not None:
        config = {"r": offers.rank, "target_modules": "all-linear", "rank_pattern": pattern}
        text = json.dumps(config, indent=2) + "\n"
        write_atomically(place / "choose.json", lambda path: path.write_text(text))
    gone = () if sizes is None else failures(sizes.rows)
    return FigureResult(
        rows=rows, table=table, notes=notes, paths=paths, figure=figure, results=(*results, *gone), effort=effort
    )


def _make(studies: Sequence[str | Path], what: str) -> str:
    """The command that makes what is missing."""
    names, study = " ".join(map(str, studies)), Path(studies[0]).resolve().name
    if what in ("lora", "full"):
        sizes = " rank=1,2,4,8" * (what == "lora")
        return f"`python run.py -m method={what}{sizes} seed=0,1,2 study={study}` makes runs of {what}"
    return f"`python -m experiments.{what} {names}` measures {what}"


def _measured(frame: pd.DataFrame, name: str) -> list[MeasurementFile]:
    """The measurements of that name, that of the lowest seed first; none is no mistake."""
    there = frame[[(Path(folder) / f"{name}.safetensors").is_file() for folder in frame["folder"]]]
    return [] if there.empty else list(measured_runs(there.sort_values(["seed", "run_id"]), name)[0]["measured"])


def _moved(frame: pd.DataFrame, sizes: SmallestRank | None) -> dict[str, list[MeasurementFile]]:
    """Updates of full training, and of LoRA at the tried rank, at the settings that validation chose; by label."""
    used = frame[frame["projection"].eq("Identity") & frame["method"].isin(["full", "lora"])]
    rows, _ = settle(used.assign(x=used["rank"].mask(used["method"] == "full")), "validation")
    sources = {"full": rows["x"].isna()}
    if sizes is not None:
        sources[f"LoRA, rank {sizes.tried_rank}"] = rows["x"].eq(sizes.tried_rank) & rows["curve"].eq(sizes.curve)
    runs = {label: rows[mask.fillna(False) & rows["chosen"]]["run_id"] for label, mask in sources.items()}
    return {label: _measured(frame[frame["run_id"].isin(ids)], "updates") for label, ids in runs.items() if len(ids)}


if __name__ == "__main__":
    program(choose)
