"""Which thresholds differ: every two of them as a ratio, and which of the differences the runs support."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from analysis.studies.estimates import Estimate
from intrinsic.threshold import compare_thresholds

LEVEL = 0.05  # probability of one false difference or more among all pairs


def differences(found: Sequence[Estimate]) -> pd.DataFrame:
    """One row for each two curves: a, b, ratio, low, high, p_less, confidence, paired, supported.

    Supported is what Holm's step-down rule keeps of all pairs: with p = 2 min(P(a < b), P(b < a)) in ascending order,
    the k-th of m pairs (from 0) while p <= 0.05 / (m - k). Of two curves it is p <= 0.05, of several it asks for more
    than an interval without 1. Source: Holm 1979, A simple sequentially rejective multiple test procedure. A threshold
    of 0, whose start reaches the target, has no ratio and no row.
    """
    rows: list[dict[str, Any]] = []
    for a, b in combinations(comparable(found), 2):
        assert a.threshold is not None
        assert b.threshold is not None
        rows.append({"a": a.curve, "b": b.curve} | compare_thresholds(a.threshold, b.threshold).to_dict())
    p = [2 * min(row["p_less"], 1 - row["p_less"]) for row in rows]
    kept = True
    for k, number in enumerate(sorted(range(len(rows)), key=p.__getitem__)):
        kept = kept and p[number] <= LEVEL / (len(rows) - k)
        rows[number]["supported"] = kept
    columns = ["a", "b", "ratio", "low", "high", "p_less", "confidence", "paired", "supported"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(("ratio", "low", "high"), float))


def comparable(found: Sequence[Estimate]) -> list[Estimate]:
    """Those with a threshold above 0."""
    return [each for each in found if each.threshold is not None and each.threshold.censored != "start"]


def differences_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """The rows of `differences` for a reader: numbers with three digits, `?` for what the runs do not determine."""
    table = pd.DataFrame({"a": pairs["a"], "b": pairs["b"]})
    table["a / b"] = pairs["ratio"].map(_number)
    percent = f"{100 * pairs['confidence'].max():g} %" if len(pairs) else "interval"
    table[percent] = [
        f"[{_number(low)}, {_number(high)}]" for low, high in zip(pairs["low"], pairs["high"], strict=True)
    ]
    table["P(a < b)"] = pairs["p_less"].map("{:.3f}".format)
    table["differ"] = pairs["supported"].map({True: "yes", False: "not shown"})
    table["shared noise"] = pairs["paired"].map(" and ".join)
    return table


def letters(pairs: pd.DataFrame, curves: Sequence[str]) -> dict[str, str]:
    """Letters for each curve: two of which the runs support a difference have none in common.

    Source: Piepho 2004, An algorithm for a letter-based representation of all-pairwise comparisons (insert, absorb).

    Args:
        pairs: from `differences`.
        curves: those of the pairs, in the order of their thresholds: the first has an a.
    """
    groups = [frozenset(curves)]
    for row in pairs[pairs["supported"]].itertuples():
        split = []
        for group in groups:
            both = {row.a, row.b} <= group
            split += [group - {row.a}, group - {row.b}] if both else [group]
        groups = [one for one in dict.fromkeys(split) if not any(one < other for other in split)]
    groups.sort(key=lambda group: sorted(curves.index(curve) for curve in group))
    return {curve: "".join(chr(ord("a") + k) for k, group in enumerate(groups) if curve in group) for curve in curves}


def _number(value: float) -> str:
    return "?" if pd.isna(value) else f"{value:.3g}"
