"""Studies by task: the runs that can be drawn together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.studies.config_keys import task_keys, value_text
from analysis.studies.records import every


@dataclass(frozen=True)
class OneTask:
    """Runs of one task, as the arguments of `analysis.studies.records.load_records` that give them."""

    studies: tuple[Path, ...]
    where: tuple[str, ...]  # beside the user's own conditions: those that tell this task from the studies' others


def parts(studies: Sequence[str | Path], where: Sequence[str] = ()) -> list[OneTask]:
    """Put the runs of each task together, whichever studies they lie in, in the order in which they come.

    Args:
        studies: folders of runs.
        where: `key=value` filters on the config.

    Raises:
        UserError: a folder is missing or has no record, a record is corrupt, a filter leaves nothing.
    """
    frame = every(studies, where)
    frame["home"] = [str(folder.parent) for folder in frame["folder"]]
    tasks: list[pd.DataFrame] = []
    for _, study in frame.groupby("home", sort=False):
        for _, runs in study.groupby(_tasks(study)):
            alike = [k for k, others in enumerate(tasks) if _one_task(pd.concat([others, runs]))]
            if alike:
                tasks[alike[0]] = pd.concat([tasks[alike[0]], runs])
            else:
                tasks.append(runs)
    return [_part(runs, frame) for runs in tasks]


def _tasks(study: pd.DataFrame) -> list[str]:
    """A name for the task of each run: what its config says of the keys in which tasks differ, and its metric."""
    keys = task_keys(study)
    known = [metric for metric in study["metric"] if metric]  # a run may fail before its task names the metric
    return [
        "\n".join([*(f"{key}={value_text(flat.get(key))}" for key in keys), metric or (known[0] if known else "")])
        for flat, metric in zip(study["config"], study["metric"], strict=True)
    ]


def _one_task(frame: pd.DataFrame) -> bool:
    return not task_keys(frame) and len(set(frame["metric"]) - {""}) < 2


def _part(runs: pd.DataFrame, frame: pd.DataFrame) -> OneTask:
    homes = list(dict.fromkeys(runs["home"]))
    beside = frame[frame["home"].isin(homes)]
    conditions = []
    for key in task_keys(beside) if len(beside) > len(runs) else ():
        values = {value_text(flat.get(key)) for flat in runs["config"]}
        if len(values) == 1 and "=" not in key:
            conditions.append(f"{key}={values.pop()}")
    return OneTask(tuple(map(Path, homes)), tuple(conditions))
