"""The check of a run's resolved config: its own knobs are of their kinds, and what it lacks is missed in one line."""

from collections.abc import Mapping
from typing import Any, NoReturn

from experiments.config.fits import fits
from intrinsic.errors import UserError

# what this program itself reads of a config, and of which kind it is; what a node's target takes is checked by that
KNOBS: dict[str, Any] = {
    **dict.fromkeys(("seed", "epochs", "batch_size"), int),
    **dict.fromkeys(("lr", "l2_weights"), float),
    **dict.fromkeys(("patience", "threads"), int | None),
    **dict.fromkeys(("method", "base", "output"), str),
    **dict.fromkeys(("head", "data_dir"), str | None),
    "study": str | int,
    **dict.fromkeys(
        ("dataset", "model", "space", "projection", "subspace", "init", "optim", "tokenizer", "seeds"), dict
    ),
    **dict.fromkeys(("schedule", "logger", "lr_groups"), dict | None),
}
WORDS = {
    int: "an integer",
    float: "a number",
    int | None: "an integer or null",
    str: "a text",
    str | None: "a text or null",
    str | int: "a name",
    dict: "keys with values",
    dict | None: "keys with values or null",
}


class Config(dict[str, Any]):
    """A config, or a part of one, that says in one line what it has not."""

    def __init__(self, values: Mapping[str, Any], name: str = "") -> None:
        super().__init__()
        for key, value in values.items():
            self[key] = Config(value, f"{name}{key}.") if isinstance(value, dict) else value
        self._name = name

    def __missing__(self, key: str) -> NoReturn:
        raise UserError(f"its config has no {self._name}{key}: train the run again")


def check_config(config: Mapping[str, Any]) -> Config:
    """The config, with every knob that it has of its kind; another version's may lack some.

    Raises:
        UserError: for a knob of another kind; later, for one that is read and not there.
    """
    for name, hint in KNOBS.items():
        if name in config and not fits(config[name], hint):
            raise UserError(f"need {name} as {WORDS[hint]}, got {name}={config[name]!r:.100}")
    return Config(config)
