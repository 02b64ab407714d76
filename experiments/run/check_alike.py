"""The check of runs that are to be trained at once."""

from typing import Any

from experiments.run.setup import Setup
from intrinsic.errors import UserError
from intrinsic.files.seed_of import own_seeds


def check_alike(setup: Setup, first: Setup) -> None:
    """Check that the two may be replicas, whose optimiser, among others, is made by `first`.

    Raises:
        UserError: if they differ in more than seed, seeds and lr, or have a seed of dropout.
    """
    drops = [own_seeds(each.config)["dropout"] for each in (setup, first) if "dropout" in own_seeds(each.config)]
    if drops:
        raise UserError(f"replicas draw their dropout together, got seeds.dropout={drops[0]}: use replicas=1")
    own, other = _shared(setup.config), _shared(first.config)
    differing = [key for key in own if own[key] != other[key]]
    if differing:
        raise UserError(f"replicas may differ in seed, seeds and lr alone, these do in {differing[0]}: use replicas=1")


def _shared(config: dict[str, Any]) -> dict[str, Any]:
    shared = {key: value for key, value in config.items() if key not in ("seed", "seeds", "lr", "optim")}
    return {**shared, "optim": {key: value for key, value in config["optim"].items() if key != "lr"}}
