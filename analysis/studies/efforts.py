"""What was spent on each curve: learning rates tried, seeds, epochs; and what makes curves unequal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.studies.config_keys import seeds_text, value_text

Span = tuple[int, int]  # the fewest and the most
NAMED = 3  # curves, in a line


@dataclass(frozen=True)
class Effort:
    """What was spent on one curve."""

    curve: str
    tried: Span  # settings at a size
    rates: list[float]  # all learning rates, rising
    seeds: Span  # runs of the chosen setting at a size
    epochs: Span | None  # None: the configs don't say
    has_sizes: bool  # False: a horizontal line
    edges: dict[str, int]  # `largest` and `smallest`: at how many sizes this one of the rates that were tried is chosen
    tuned: int  # sizes at which there was a choice of rates

    def counts(self) -> str:
        """`3 rates, 3 seeds, 30 epochs`."""
        return ", ".join([_count(self.tried, self._unit()), *self._rest()])

    def __str__(self) -> str:
        """The same with the rates, after the curve's name."""
        ends = list(dict.fromkeys(value_text(rate) for rate in (self.rates[:1] + self.rates[-1:])))
        rates = _count(self.tried, self._unit()) + (f" ({' to '.join(ends)})" if ends else "")
        return f"{self.curve}: {', '.join([rates, *self._rest()])}"

    def _unit(self) -> str:
        return "rate" if self.tried[1] <= max(1, len(self.rates)) else "setting"

    def _rest(self) -> list[str]:
        return [_count(self.seeds, "seed"), *([] if self.epochs is None else [_count(self.epochs, "epoch")])]


def efforts(rows: pd.DataFrame, frame: pd.DataFrame) -> list[Effort]:
    """The effort of each curve; runs that failed, for lack of memory say, are none.

    A rate is at the edge where none beyond it was tried, at its size or at one where all of its size's rates were tried
    and more: a search tries but the neighbours of a rate that it has found.

    Args:
        rows: runs as from `analysis.studies.selection.choose_settings`.
        frame: the runs that these were made of, as from `analysis.studies.records.load_records`.
    """
    configs = frame.set_index("run_id")["config"]
    epochs, seeds = configs.map(lambda flat: flat.get("epochs")), configs.map(seeds_text)
    spent = rows[rows["status"] != "failed"]
    return [_effort(str(curve), runs, epochs, seeds) for curve, runs in spent.groupby("curve", sort=False)]


def _effort(curve: str, runs: pd.DataFrame, epochs: pd.Series, seeds: pd.Series) -> Effort:
    sizes = [here for _, here in runs.groupby("x", dropna=False)]
    sets = [set(here["lr"].dropna()) for here in sizes]
    chosen = [here[here["chosen"]] for here in sizes]
    edges, tuned = {"largest": 0, "smallest": 0}, 0
    for best, own in zip(chosen, sets, strict=True):
        tried = set().union(*(other for other in sets if own <= other))
        if len(tried) > 1 and len(best):
            tuned += 1
            edges["largest"] += best["lr"].iloc[0] == max(tried)
            edges["smallest"] += best["lr"].iloc[0] == min(tried)
    lasting = [count for count in epochs[runs["run_id"]] if isinstance(count, int) and not isinstance(count, bool)]
    return Effort(
        curve=curve,
        tried=_span([here["setting"].nunique() for here in sizes]),
        rates=sorted(set().union(*sets)),
        seeds=_span([len(set(seeds[best["run_id"]])) for best in chosen if len(best)] or [0]),
        epochs=_span(lasting) if lasting else None,
        has_sizes=bool(runs["x"].notna().any()),
        edges=edges,
        tuned=tuned,
    )


def effort_lines(spent: Sequence[Effort]) -> tuple[str, ...]:
    """For the foot of a figure: one line of what was spent on which curves, and the warnings.

    Curves on which as much was spent are said together, the most of them as `others`; of too many, only the ranges.
    """
    groups: dict[str, list[str]] = {}
    for each in spent:
        groups.setdefault(each.counts(), []).append(each.curve)
    common = max(groups, key=lambda said: len(groups[said]), default="")
    if len(groups) > NAMED:
        parts = [_count((low, high), unit) for unit, (low, _), (high, _) in _extremes(spent)]
        line = f"each curve: {', '.join(parts)}"
    elif len(groups) > 1:
        last = [common] if len(groups[common]) > NAMED else []
        names = {said: "others" if said in last else _named(curves) for said, curves in groups.items()}
        line = " · ".join(f"{names[said]}: {said}" for said in [*(said for said in groups if said not in last), *last])
    else:
        line = f"each curve: {common}"
    return (line, *effort_warnings(spent))


def effort_warnings(spent: Sequence[Effort]) -> tuple[str, ...]:
    """A line where chosen rates are at the edge of those tried, and one where budgets have no number in common."""
    lines = []
    for end, remedy in (("largest", "larger"), ("smallest", "smaller")):
        found = [f"{each.curve} at {each.edges[end]} of {each.tuned} sizes" for each in spent if each.edges[end]]
        if found:
            lines.append(f"warning: the {end} rate tried was chosen, try {remedy} ones: {_named(found)}")
    unequal = [
        f"{unit}s {low} ({few}) to {high} ({many})"
        for unit, (low, few), (high, many) in _extremes(spent)
        if _apart(spent, unit)
    ]
    return (*lines, *([f"warning: unequal effort: {', '.join(unequal)}"] if unequal else []))


# a line such as full training has no size: its seeds are those of the target, and no matter of equal chances
SPANS: dict[str, Callable[[Effort], Span | None]] = {
    "rate": lambda each: each.tried,
    "seed": lambda each: each.seeds if each.has_sizes else None,
    "epoch": lambda each: each.epochs,
}


def _spans(spent: Sequence[Effort], unit: str) -> list[tuple[Span, str]]:
    found = [(SPANS[unit](each), each.curve) for each in spent]
    return [(span, curve) for span, curve in found if span is not None]


def _extremes(spent: Sequence[Effort]) -> list[tuple[str, tuple[int, str], tuple[int, str]]]:
    """Unit, the fewest with the curve that has them, the most with theirs."""
    every = [(unit, _spans(spent, unit)) for unit in SPANS]
    return [
        (unit, min(((span[0], curve) for span, curve in spans), key=_first),
         max(((span[1], curve) for span, curve in spans), key=_first))
        for unit, spans in every if spans
    ]  # fmt: skip


def _apart(spent: Sequence[Effort], unit: str) -> bool:
    """Whether there is no number that all have: 1 to 4 seeds of a search and 3 of a grid are no difference."""
    spans = [span for span, _ in _spans(spent, unit)]
    return max(low for low, _ in spans) > min(high for _, high in spans)


def _first(pair: tuple[int, str]) -> int:
    return pair[0]


def _span(counts: Sequence[Any]) -> Span:
    return int(min(counts)), int(max(counts))


def _count(span: Span, unit: str) -> str:
    low, high = span
    return f"{low if low == high else f'{low} to {high}'} {unit}{'s' * (high != 1)}"


def _named(names: Sequence[str]) -> str:
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    between = "; " if any(", " in name for name in names) else ", "
    return between.join([*names[:NAMED], *more])
