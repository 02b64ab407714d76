"""Projections of every config at one small size, and their matrices."""

from functools import cache

import pytest
import torch

from experiments.config.build import build
from tests.support.configs import composed, names

RANDOM = [name for name in names("projection") if name != "identity"]


@cache
def constructor(name):
    """What a config file describes."""
    return build(composed("method=subspace", f"projection={name}")["projection"], "projection")


def make(name, dim, full_dim, seed=0):
    return constructor(name)(dim, full_dim, seed=seed)


def matrix(projection):
    """P as (full_dim, dim) float64, column by column."""
    return projection(torch.eye(projection.dim, dtype=torch.float64)).T


CLASSES = [constructor(name).func for name in RANDOM]
every_class = pytest.mark.parametrize("projection", CLASSES, ids=lambda kind: kind.__name__)
