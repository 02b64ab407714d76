"""The projections that are measured: the class of every file in conf/projection but the identity."""

from functools import cache
from pathlib import Path

from hydra.utils import get_class
from omegaconf import OmegaConf

from intrinsic.projections.base import Projection
from intrinsic.projections.identity import Identity

_CONFIGS = Path(__file__).parent.parent / "conf" / "projection"


@cache
def projections() -> dict[str, type[Projection]]:
    """Each class by the name of its file."""
    targets = {
        path.stem: OmegaConf.select(OmegaConf.load(path), "projection._target_")
        for path in sorted(_CONFIGS.glob("*.yaml"))
    }
    return {name: kind for name, target in targets.items() if (kind := get_class(target)) is not Identity}
