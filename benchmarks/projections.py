"""The projections that are measured: the class of every file in conf/projection that is drawn from a seed alone."""

from functools import cache
from pathlib import Path

from hydra.utils import get_class
from omegaconf import OmegaConf

from intrinsic.projections.base import Projection
from intrinsic.projections.identity import Identity
from intrinsic.projections.trajectory import Trajectory

NOT_DRAWN = Identity, Trajectory  # the latter is a stored matrix, and its product torch's
_CONFIGS = Path(__file__).parent.parent / "conf" / "projection"


@cache
def projections() -> dict[str, type[Projection]]:
    """Each class by the name of its file."""
    targets = {
        path.stem: OmegaConf.select(OmegaConf.load(path), "projection._target_")
        for path in sorted(_CONFIGS.glob("*.yaml"))
    }
    kinds = {name: get_class(target) for name, target in targets.items()}
    return {name: kind for name, kind in kinds.items() if kind not in NOT_DRAWN}
