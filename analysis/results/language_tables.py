"""Tables of scores by method and size, of thresholds and their ratios, and of what is published on language models."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.references.hu_aghajanyan import DID, HU_MATRICES, HU_RANKS, SAID
from analysis.results.committed import Committed
from analysis.results.markdown import table
from analysis.results.published_tables import interval
from analysis.studies.config_keys import value_text
from analysis.studies.selection import choose_settings

SIZES = ("rank", "dim", "bottleneck", "length")  # knobs of methods


def method_table(study: Committed, across: tuple[str, ...] = ()) -> str:
    """Every method and size: trained parameters, validation and test score with intervals, seeds, rate, seconds."""
    frame = study.frame(across=across)
    rows, points = choose_settings(frame.assign(x=frame["trained"]), "test", across)
    used = rows[rows["chosen"] & rows["score"].notna()]
    configs = dict(zip(frame["run_id"], frame["config"], strict=True))
    seconds = {record.run_id: record.own_seconds for record in study.records}
    lines = []
    for _, point in points.sort_values("trained").iterrows():
        runs = used[(used["curve"] == point["curve"]) & (used["x"] == point["x"])]
        if runs.empty:
            continue
        flat = configs[str(runs["run_id"].iloc[0])]
        unprojected = str(flat.get("projection._target_")).endswith(".Identity")
        sizes = [key for key in SIZES if key in flat and not (key == "dim" and unprojected)]
        size = "".join(f", {key} {value_text(flat[key])}" for key in sizes)
        validation = runs["validation_score"]
        lines.append([
            f"`{point['curve']}`{size}", f"{point['trained']:,}",
            interval(validation.mean(), validation.std(), len(runs)),
            interval(point["mean"], point["sd"], point["finished"]), f"{point['finished']}",
            point["setting"] + (f" (best of {point['tried']})" if point["tried"] > 1 else ""),
            f"{runs['run_id'].map(seconds).median():,.0f}",
        ])  # fmt: skip
    heads = {"method": "<", "trained parameters": ">", "validation": ">", f"test {frame['metric'].max()}": ">"}
    return table(heads | {"seeds": ">", "rate": "<", "seconds": ">"}, lines)


def threshold_table(study: Committed, **options: Any) -> str:
    """The threshold of each curve with its interval, of its split and on validation data; then every ratio of two."""
    found, split = study.outcome("threshold", **options), options.get("split") or "test"
    lines = []
    for line in found.results:
        curve, colon, said = line.partition(": ")
        if colon and said.startswith("d"):
            lines.append([f"`{curve.removeprefix('on validation data, ')}`", *_said(curve, said, split)])
    text = table({"curve": "<", "data": "<", "threshold": "<"}, lines)
    ratios = [_table(frame) for frame in found.more if len(frame)]
    return "\n\n".join([text, *ratios])


def _said(curve: str, said: str, split: str) -> tuple[str, str]:
    return "validation" if curve.startswith("on validation data") else split, said.partition(" (")[0]


def _table(frame: pd.DataFrame) -> str:
    rows = [[str(value) for value in row] for row in frame.itertuples(index=False)]
    return table(dict.fromkeys(map(str, frame.columns), "<"), rows)


def published_ranks() -> str:
    """Table 6 of Hu et al. 2021."""
    ranks = sorted({rank for rows in HU_RANKS.values() for scores in rows.values() for rank in scores})
    lines = [
        [task, names, *(f"{scores[rank]:.1f}" for rank in ranks)]
        for task, rows in HU_RANKS.items()
        for names, scores in rows.items()
    ]
    return table({"GPT-3 on": "<", "matrices": "<"} | {f"rank {rank}": ">" for rank in ranks}, lines)


def published_matrices() -> str:
    """Table 5 of Hu et al. 2021, WikiSQL."""
    lines = [[names, f"{score:.1f}"] for names, score in HU_MATRICES.items()]
    return table({"matrices, 18 million parameters": "<", "WikiSQL": ">"}, lines)


def published_dims() -> str:
    """Table 1 of Aghajanyan et al. 2020, with the ratio of its two methods."""
    lines = []
    for model, tasks in SAID.items():
        for task, said in tasks.items():
            did: Mapping[str, int] = DID[model]
            lines.append([model, task, f"{said:,}", f"{did[task]:,}", f"{said / did[task]:.2f}"])
    return table({"model": "<", "task": "<", "SAID": ">", "DID": ">", "SAID ÷ DID": ">"}, lines)
