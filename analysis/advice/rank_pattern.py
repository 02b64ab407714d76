"""A rank for each type of matrix, at the budget of one rank for all."""

import re
from collections.abc import Mapping

import numpy as np

from analysis.advice.matrix_gains import MatrixGains
from analysis.studies.measurement_file import MeasurementFile


def rank_pattern(gradients: MeasurementFile, offers: MatrixGains) -> dict[str, int]:
    """Ranks as PEFT's `rank_pattern`, and `space.rank_pattern`, has them: by the end of names, where not offers.rank.

    Of all ranks >= 1 with no more numbers than offers.rank of every matrix, those whose first directions hold the most
    of the gradient at theta_0: the sum of sigma_k^2 over matrices and k <= rank, taken greedily by number, which is the
    most there is, as sigma falls with k. No rank is above what was measured, nor above a matrix's sides.
    """
    marginal: dict[str, np.ndarray] = {}
    cost: dict[str, int] = {}
    for type_, rows in offers.matrices.groupby("type", sort=False):
        energies, sides = [], 0
        for row in rows.itertuples():
            gain = np.asarray(gradients.array(f"{row.name}/gain"), dtype=float)[: min(row.outputs, row.inputs)]
            numbers = np.arange(1, len(gain) + 1) * (row.outputs + row.inputs)
            energies.append(np.diff((gain * numbers) ** 2, prepend=0.0))  # sigma_k^2
            sides += row.outputs + row.inputs
        shortest = min(map(len, energies))
        marginal[str(type_)] = np.sum([energy[:shortest] for energy in energies], axis=0) / sides
        cost[str(type_)] = sides
    ranks = dict.fromkeys(cost, 1)
    left = (offers.rank - 1) * sum(cost.values())
    while fitting := [t for t in ranks if cost[t] <= left and ranks[t] < len(marginal[t])]:
        best = max(fitting, key=lambda t: marginal[t][ranks[t]])
        ranks[best] += 1
        left -= cost[best]
    return _keys({t: rank for t, rank in ranks.items() if rank != offers.rank}, list(ranks))


def _keys(ranks: Mapping[str, int], types: list[str]) -> dict[str, int]:
    """By ends that mean one type alone."""
    return {
        rf"\d+\.{re.escape(own)}" if any(other.endswith(f".{own}") for other in types) else own: rank
        for own, rank in ranks.items()
    }
