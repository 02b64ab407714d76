"""The recommendation, a paragraph: which rank, which matrices, which learning rate, and how sure that is."""

import math
import re
from collections.abc import Sequence

import pandas as pd

from analysis.advice.matrix_gains import MatrixGains
from analysis.advice.smallest_rank import SmallestRank
from intrinsic.threshold import Threshold


def recommendation(sizes: SmallestRank | None, offers: MatrixGains | None, tests: pd.Series) -> str:
    """Say it in plain words, with what it rests on.

    Args:
        sizes: what the runs say; None: no run of LoRA has finished.
        offers: what the gradients say; None: none are measured.
        tests: test scores by run id.
    """
    said = [] if sizes is None else [_rank(sizes), _rate(sizes, tests)]
    said += [] if offers is None else [_matrices(offers)]
    if sizes is None:
        said.append("Which rank and which learning rate is not known: no run of LoRA has finished.")
    if offers is None:
        said.append("Which matrices matter is not known: no gradients are measured.")
    return "recommendation: " + " ".join(said)


def interval(threshold: Threshold) -> str:
    """A rank as whole numbers: `r99 = 6 (95 % interval 4 to 9)`."""
    name = f"r{100 * threshold.fraction:g}"
    value = math.ceil(threshold.value)
    if threshold.censored == "start":
        return f"{name} = 0 ({str(threshold).partition('(')[2]}"
    low = "below the smallest rank tried" if threshold.low is None else str(math.ceil(threshold.low))
    high = "beyond the largest rank tried" if threshold.high is None else str(math.ceil(threshold.high))
    if threshold.censored == "above":
        said = f"{name} > {value}, the largest rank tried"
        return said if threshold.is_bound else f"{said} ({100 * threshold.confidence:g} % interval from {low})"
    if threshold.censored == "below":
        said = f"{name} = 1, the smallest rank there is" if value == 1 else f"{name} ≤ {value}, the smallest rank tried"
        return f"{said} ({100 * threshold.confidence:g} % interval up to {high})"
    return f"{name} = {value} ({100 * threshold.confidence:g} % interval {low} to {high})"


def _rank(sizes: SmallestRank) -> str:
    tried = ", ".join(map(str, sorted(sizes.points["x"].astype(int))))
    said = f"{sizes.curve} of rank {sizes.rank}"
    if len(sizes.points) > 1 and sizes.points["mean"].nunique() == 1:
        return f"{said}, with no reason to prefer it: all ranks tried ({tried}) have the same validation score."
    if not sizes.thresholds:
        return (
            f"{said}, the best by validation of the ranks tried ({tried}); which is the smallest that suffices is not "
            f"known: {sizes.problem}."
        )
    last = sizes.thresholds[-1]
    aim = f"{100 * last.fraction:g} % of full training{_above(last)}"
    if last.censored == "start":
        said += f", the smallest of those tried ({tried}), though the start reaches {aim} without any"
    elif last.censored == "above":
        said += f", the best of those tried ({tried}), though none of them reaches {aim}"
    elif last.censored == "below":
        said += (
            f", the smallest of those tried ({tried}): it reaches {aim}{', and a smaller one may' * (sizes.rank > 1)}"
        )
    else:
        said += f", the smallest that reaches {aim} (tried: {tried})"
    said += f"; {'; '.join(map(interval, sizes.thresholds))}"
    if sizes.seeds == 1:
        return f"{said}; with one seed at some rank, noise is only guessed from the scatter, and so are intervals."
    return f"{said}; from {sizes.seeds} seeds of each rank{' or more' * (sizes.points['finished'].nunique() > 1)}."


def _above(threshold: Threshold) -> str:
    """From where its fraction counts."""
    if threshold.floor is None:
        return ""
    return " above the start" if threshold.floor == threshold.start else " above chance"


def _rate(sizes: SmallestRank, tests: pd.Series) -> str:
    point = sizes.points[sizes.points["x"] == sizes.tried_rank].iloc[0]
    here = sizes.rows[(sizes.rows["curve"] == sizes.curve) & (sizes.rows["x"] == sizes.tried_rank)]
    chosen = here[here["chosen"]]
    score = f"test {chosen['metric'].iloc[0]} there: {tests[chosen['run_id']].mean():.3f}"
    said = f"Learning rate: {point['setting']}"
    if point["tried"] == 1:
        return f"{said}, the only setting tried at rank {sizes.tried_rank}, so not known to be good ({score})."
    rates, own = here["lr"].dropna(), chosen["lr"].iloc[0]
    edges = {rates.max(): "a larger", rates.min(): "a smaller"} if rates.nunique() > 1 else {}
    edge = f", at the edge: {edges[own]} rate may be better" if own in edges else ""
    return f"{said}, the best by validation of {point['tried']} at rank {sizes.tried_rank}{edge} ({score})."


def _matrices(offers: MatrixGains) -> str:
    types, best = offers.types, offers.types[offers.types["above"]]
    if best.empty or len(types) == 1:
        return "Matrices: the gradients prefer none."
    said = (
        f"Matrices: where parameters must be saved, begin with {_words(best['type'])}; at theta_0, a parameter "
        f"trained there at rank {offers.rank} gains more, to first order, than the average one"
    )
    first, last = types.iloc[0], types.iloc[-1]
    if last["gain"] > 0:
        ratio = first["gain"] / last["gain"]
        said += f" ({first['type']} {ratio:.{int(ratio < 10)}f} times {last['type']})"
    halves = [types.loc[types[half], "type"] for half in ("above_0", "above_1")]
    if all(set(half) == set(best["type"]) for half in halves):
        said += ", and both halves of the batch say the same"
    else:
        said += f", but the halves of the batch say {_words(halves[0])}, and {_words(halves[1])}: treat it as a guess"
    return f"{said}. Whether they suffice, training tells: space.targets={targets(best['type'], offers.matrices)}."


def targets(types: Sequence[str], matrices: pd.DataFrame) -> str:
    """What `space.targets` must be for exactly these types: a list of endings, else a regular expression."""
    modules = [name.removesuffix(".weight").removesuffix("_weight") for name in matrices["name"]]
    wanted = [module for module, own in zip(modules, matrices["type"], strict=True) if own in set(types)]
    if [module for module in modules if any(f".{module}".endswith(f".{own}") for own in types)] == wanted:
        return f"[{','.join(types)}]"
    return rf"'(.*\.)?\d+\.({'|'.join(re.escape(own) for own in types)})'"


def _words(words: Sequence[str]) -> str:
    words = list(words)
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
