"""The check of a space's sizes: what tables and figures call a run is what it trains."""

from collections.abc import Mapping
from typing import Any

from intrinsic.errors import UserError


def check_sizes(config: Mapping[str, Any]) -> None:
    """Check that no size in a space or subspace differs from the knob of its name, such as space.rank from rank.

    Raises:
        UserError: if one does.
    """
    for name in ("space", "subspace"):
        _check(config, config[name], name)


def _check(config: Mapping[str, Any], node: Mapping[str, Any], name: str) -> None:
    for key, value in node.items():
        if isinstance(value, Mapping):
            _check(config, value, f"{name}.{key}")
        elif key in config and value != config[key]:
            raise UserError(
                f"{name}.{key}={value!r:.100} is not {key}={config[key]!r:.100}: set {key}, and not {name}.{key}"
            )
