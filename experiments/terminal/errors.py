"""Endings of commands: a user's mistake in one line and exit status 2, a bug in a traceback."""

import os
import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from intrinsic.errors import UserError
from intrinsic.terminal.command import command
from intrinsic.terminal.lasting_output import lasting_output
from intrinsic.terminal.say import say

CONF = Path(__file__).parent.parent.parent / "conf"
OTHERS = {"launcher": "joblib", "sweeper": "threshold"}


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print errors of the user, of Hydra and of the config as `error: <one line>`; HYDRA_FULL_ERROR=1 shows all."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    if before == "1":
        with lasting_output():
            yield
        return
    # so that Hydra and its parser of options raise instead of printing several lines of their own
    os.environ["HYDRA_FULL_ERROR"] = "1"
    usual, ArgumentParser.error = ArgumentParser.error, _refuse  # type: ignore[method-assign,assignment]
    try:
        with command(), _ours():
            if not __debug__:
                raise UserError("Hydra reads ranges by assertions, which python -O leaves out: run it without -O")
            yield
    finally:
        ArgumentParser.error = usual  # type: ignore[method-assign]
        del os.environ["HYDRA_FULL_ERROR"]
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


@contextmanager
def _ours() -> Iterator[None]:
    """Errors of Hydra and of the config as `UserError`."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(describe(error)) from None
    except ValueError as error:
        if not str(error).startswith("Config group override must be"):  # Hydra's, for method=null
            raise
        raise UserError(f"need a name for each of {', '.join(_groups())}, got {_nameless(sys.argv)}") from None
    except KeyboardInterrupt:
        say("stopped: the same command continues from the last checkpoint", sys.stderr)
        raise SystemExit(130) from None


def _refuse(parser: ArgumentParser, message: str) -> NoReturn:
    raise UserError(f"{message}: need options such as -m before the choices; python run.py --help lists all")


def _groups() -> list[str]:
    return sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")


def _nameless(arguments: list[str]) -> str:
    return ", ".join(argument for argument in arguments if argument.partition("=")[0] in ["", *_groups()])


def describe(error: Exception) -> str:
    """One line for an error: the rule, the value, and the nearest valid name where there is one."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        group, _, name = error.missing_cfg_file.rpartition("/")
        top = group.partition("/")[0]
        if top in _groups():  # experiment=folder/name: the group is the first part
            group, name = top, error.missing_cfg_file.removeprefix(f"{top}/")
            options = [path.relative_to(CONF / top).with_suffix("").as_posix() for path in (CONF / top).rglob("*.yaml")]
        else:
            options = list(error.options or [])
        return f"there is no {group or 'config'}={name}{_nearest(name, options)}"
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OmegaConfBaseException) and chain.key is not None and chain.parent_node is not None:
            return _describe_key(chain)
        chain = chain.__cause__
    return " ".join(str(error).split())


def _describe_key(error: OmegaConfBaseException) -> str:
    parent = error.parent_node
    keys = [str(key) for key in parent if key not in ("hydra", "_target_")] if OmegaConf.is_dict(parent) else []
    key = str(error.key)
    if key in keys:
        return " ".join(str(error.msg or error).split())
    full = error.full_key or key
    homes = [f"{path.parent.name}={path.stem}" for path in sorted(CONF.glob("*/*.yaml")) if _declares(path, key)]
    if full == key and homes:
        method = f" of method={parent['method']}" if "method" in keys else ""
        return f"{key} is not a knob{method}: it belongs to {', '.join(homes)}{_as_choice(key)}"
    return f"there is no key {full!r} in this configuration{_nearest(key, keys)}{_of_another(full)}"


def _of_another(full: str) -> str:
    """Where a setting of a launcher or a sweeper may belong that the chosen one has not."""
    kind = next((kind for kind in OTHERS if full.startswith(f"hydra.{kind}.")), None)
    return f"; another {kind} has other settings: hydra/{kind}={OTHERS[kind]}" if kind else ""


def _as_choice(key: str) -> str:
    """How to set a knob of swept methods: Hydra tries what is not swept on the default method, which may have none."""
    given = [argument for argument in sys.argv[1:] if argument.startswith(f"{key}=") and "," not in argument]
    if not given or not any(re.match(r"(method|space|projection)=.*,", argument) for argument in sys.argv[1:]):
        return ""
    return f"; if the swept ones have it, write '{key}=choice({given[0].partition('=')[2]})'"


def _declares(path: Path, key: str) -> bool:
    """Whether a config file adds a top-level knob of this name."""
    lines = path.read_text().splitlines()
    return "# @package _global_" in lines and any(line.startswith(f"{key}:") for line in lines)


def _nearest(name: str, options: list[str]) -> str:
    near = get_close_matches(name, options, n=1, cutoff=0.5)
    if near:
        return f": did you mean {near[0]!r}?"
    return f": need one of {', '.join(sorted(options))}" if options else ": there is none"
