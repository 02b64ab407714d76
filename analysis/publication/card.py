"""The card of a published study: what the Hub and its readers are told."""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml  # type: ignore[import-untyped]

from analysis.figures.command import cell
from analysis.figures.figure import CurvesResult
from analysis.page.findings import best, thresholds
from analysis.page.protocol import protocol, question
from analysis.studies.plain import plain
from analysis.studies.run_table import runs_of

TAGS = ["intrinsic-dimension", "random-subspace", "lora", "parameter-efficient-fine-tuning"]


def card(
    name: str,
    tasks: Sequence[tuple[pd.DataFrame, CurvesResult | None]],
    figures: Sequence[Path],
    licence: str | None,
) -> str:
    """Markdown with the front matter of a model card: of each task the question, protocol, results and versions.

    Args:
        name: of the study.
        tasks: runs of each task as from `load_records`, and the figure that compares them.
        figures: paths in the folder.
        licence: an identifier of the Hub; None: none is said.
    """
    front: dict[str, Any] = {} if licence is None else {"license": licence}
    metrics = sorted({metric for frame, _ in tasks for metric in frame["metric"] if metric})
    front |= {"tags": TAGS, "metrics": metrics}
    entries = [entry for frame, drawn in tasks if drawn is not None for entry in _entries(frame, drawn)]
    if entries:
        front["model-index"] = [{"name": plain(name, 80), "results": entries}]
    text = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    lines = [f"---\n{text}---\n", f"# {_inert(name)}\n"]
    for frame, drawn in tasks:
        lines += _section(frame, drawn)
    lines += ["## Figures\n", *(f"![{path.stem}]({path.as_posix()})\n" for path in figures)]
    lines.append(
        "## Files\n\n"
        "- `<run id>/record.json`: each run's scores, counts, versions, commit and config.\n"
        "- `results/<run id>.json`: the finished ones in the form of PEFT's method comparison.\n"
        "- `figures/`: PNG, PDF, and CSV with a row for each run; `report.html`: all of it as one page.\n\n"
        "Made by `python -m analysis.publish` of intrinsic; `python -m analysis.compare <this folder> outputs/STUDY` "
        "draws it beside other runs.\n"
    )
    return "\n".join(lines)


def _section(frame: pd.DataFrame, drawn: CurvesResult | None) -> list[str]:
    """A task for readers."""
    lines = [f"## {_inert(question(frame))}\n"]
    lines += [f"- {_inert(heading)}: {_inert('; '.join(said))}" for heading, said in protocol(frame)]
    if drawn is not None:
        lines += ["", *_table(best(drawn)), "Test scores of the size and setting that validation data choose.\n"]
        found = thresholds(frame, "the study")
        lines += [f"- {_inert(f'{curve}: {said}, {unit}')}" for curve, said, unit in found.rows]
        lines += [f"\n{_inert(found.against)}"] if found.against else []
    lines.append("")
    lines += [f"- {_inert(key)}: {_inert('; '.join(values))}" for key, values in runs_of(frame).machines]
    return [*lines, ""]


def _table(frame: pd.DataFrame) -> list[str]:
    head = ["| " + " | ".join(frame) + " |", "|" + "---|" * len(frame.columns)]
    rows = ("| " + " | ".join(_inert(cell(value)) for value in row) + " |" for row in frame.itertuples(index=False))
    return [*head, *rows, ""]


def _entries(frame: pd.DataFrame, drawn: CurvesResult) -> list[dict[str, Any]]:
    """The best score of each method as the Hub's evaluation results."""
    flat = frame["config"].iloc[0]
    dataset = str(flat.get("dataset.task", flat.get("dataset._target_", "data"))).rpartition(".")[2]
    text = any(key.startswith("tokenizer.") for key in flat)
    kind = "text-generation" if "model.objective" in flat else "text-classification" if text else "other"
    metric = max(frame["metric"])
    return [
        {
            "task": {"type": kind},
            "dataset": {"type": plain(dataset, 80), "name": plain(dataset, 80)},
            "metrics": [
                {
                    "type": plain(metric, 80),
                    "value": round(float(row["test"]), 6),
                    "name": plain(f"test {metric}, {row['method']}, {row['trainable parameters']:,} parameters", 200),
                }
            ],
        }
        for row in best(drawn).to_dict("records")
    ]


def _inert(text: str) -> str:
    """Another's text as Markdown shows it: on one line, neither a tag nor a mark."""
    return re.sub(r"([\\`*_\[\]|#!~])", r"\\\1", html.escape(plain(text), quote=False))
