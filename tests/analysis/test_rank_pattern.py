"""Ranks by type of matrix: no more numbers than one rank for all, and more of the gradient."""

import json
from itertools import product

import pandas as pd
import pytest
from peft import LoraConfig

from analysis.advice.rank_pattern import rank_pattern
from analysis.choose import choose
from intrinsic.spaces.low_rank import matches
from tests.support.choose_study import fill, gradients

pytestmark = pytest.mark.usefixtures("unrendered")


class Offers:
    """What `rank_pattern` reads of MatrixGains and of a file of gradients."""

    def __init__(self, sigmas, rank):
        rows = [{"name": f"l.0.{t}.weight", "type": t, "outputs": m, "inputs": n} for t, (m, n, _) in sigmas.items()]
        self.matrices, self.rank, self.sigmas = pd.DataFrame(rows), rank, sigmas

    def array(self, name):
        m, n, sigma = self.sigmas[name.split(".", 2)[2].rpartition(".weight")[0]]
        squares = [sum(s * s for s in sigma[: k + 1]) for k in range(len(sigma))]
        return [square**0.5 / ((k + 1) * (m + n)) for k, square in enumerate(squares)]


SIGMAS = {
    "q": (16, 16, [5.0, 4.0, 3.0, 1.0, 0.5]),
    "v": (16, 16, [1.0, 0.9, 0.8, 0.7, 0.1]),
    "out.v": (16, 16, [2.0, 0.3, 0.2, 0.1, 0.1]),
}


def test_no_other_ranks_of_the_budget_hold_more():
    offers = Offers(SIGMAS, 3)
    found = rank_pattern(offers, offers)
    ranks = {t: next((r for key, r in found.items() if matches(key, f"l.0.{t}")), 3) for t in SIGMAS}

    def held(ranks):
        return sum(sum(s * s for s in SIGMAS[t][2][:r]) for t, r in ranks.items())

    others = [dict(zip(SIGMAS, each, strict=True)) for each in product(range(1, 6), repeat=3) if sum(each) <= 9]
    assert held(ranks) == pytest.approx(max(map(held, others)))
    assert sum(ranks.values()) == 9
    assert ranks == {"q": 4, "v": 4, "out.v": 1}


def test_choose_writes_what_peft_takes(study):
    fill(study)
    gradients(study, {"q": 4.0, "v": 2.0, "up": 10.0})
    drawn = choose(study, rank=4)
    written = json.loads((study / "figures" / "choose.json").read_text())
    config = LoraConfig(**written)
    assert (config.r, config.target_modules) == (4, "all-linear")
    assert config.rank_pattern
    (line,) = [line for line in drawn.results if "space.rank_pattern" in line]
    assert json.dumps(written["rank_pattern"]) in line
    assert set(written["rank_pattern"]) <= {"q", "v", "up"}
