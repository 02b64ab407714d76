"""One configuration: skip it if its record is there, else train it. Imports torch only if it must."""

import os
import re
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.cli import describe
from intrinsic.errors import UserError
from intrinsic.records import read_record, run_id, write_record

ANSWERS = ("finished", "diverged")  # a run with one of these would end in the same way again


def run_job(cfg: DictConfig) -> dict[str, Any]:
    """Return the run's record, of a failed run what is known of it; prints one line about it.

    In a sweep a failure is reported and the next run goes on; alone, it is raised.
    """
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    config: dict[str, Any] = {}
    try:
        config = _resolve(cfg)
        folder = _folder(config)
        record = read_record(folder)
        skipped = record is not None and record["status"] in ANSWERS
        if record is None or not skipped:
            record = _train(config, folder)
    except UserError as error:
        print(f"{_position()}error: {error}", file=sys.stderr)
        if not sweeping:
            sys.exit(2)
        return {"status": "error", "error": str(error), "config": config}
    except Exception as error:
        if not sweeping:
            raise
        traceback.print_exc()
        return {"status": "failed", "error": f"{type(error).__name__}: {error}", "config": config}
    print(_position() + summary(record, folder) + (" (skipped: already there)" if skipped else ""))
    return record


def _resolve(cfg: DictConfig) -> dict[str, Any]:
    """The config as plain values, with the keys that it declares and no others."""
    given = HydraConfig.get().overrides.task
    overrides: list[str] = OmegaConf.to_container(given, resolve=False)  # type: ignore[assignment]
    for override in overrides:
        if re.match(r"~|\+[^.=@/]+=", override):  # +space.name=value may stay: `build` knows the names
            raise UserError(
                f"cannot take {override}: keys can be set, not added or removed; python run.py --help lists them"
            )
    try:
        return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        raise UserError(describe(error)) from None


def _folder(config: dict[str, Any]) -> Path:
    """The run's folder, which may not exist yet but can be made."""
    output, study = config["output"], config["study"]
    if not isinstance(output, str) or not output or study is None or not re.fullmatch(r"\w[\w.-]*", str(study)):
        raise UserError(f"need a folder as output and a plain name as study, got output={output} study={study}")
    folder = Path(output) / str(study) / run_id(config)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UserError(f"cannot write into {existing}: choose another folder with output=")
    return folder


def _train(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    from experiments.train import train

    try:
        return train(config, folder)
    except UserError:
        raise
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())
        write_record(folder, failed_record(config, folder, line))
        raise


def failed_record(config: dict[str, Any], folder: Path, error: str) -> dict[str, Any]:
    """The record of a run that crashed: it is listed by the analysis, and tried again by the next sweep."""
    return {
        "run_id": folder.name,
        "study": config["study"],
        "status": "failed",
        "method": config["method"],
        "error": error,
        "last": None,
        "best": None,
        "config": config,
    }


def knobs(config: dict[str, Any]) -> str:
    """What a reader wants to know of a configuration: `lora rank=4 seed=0`."""
    parts = [config["method"]]
    projection = config["projection"]["_target_"].rpartition(".")[2]
    if projection != "Identity":
        parts.append(projection.lower())
    parts += [f"{key}={config[key]}" for key in ("rank", "dim", "seed") if key in config]
    return " ".join(parts)


def summary(record: dict[str, Any], folder: Path) -> str:
    """One line about a run that ended."""
    metric = record["metric"]
    if record["status"] == "diverged":
        result = f"diverged in epoch {record['last']['epoch']}"
    else:
        result = f"test {metric} {record['last']['test'][metric]:.4f}"
    numbers = f"{record['numbers']['trained']:,} numbers"
    return f"{knobs(record['config']):38} {result}  {numbers:>16}  {record['seconds']:6.1f} s  {folder}"


def _position() -> str:
    """`[3/12, 40 s left] ` inside a sweep, whose sweeper says how many runs there are and when it began."""
    if "INTRINSIC_SWEEP" not in os.environ or HydraConfig.get().mode != RunMode.MULTIRUN:
        return ""
    count, began = os.environ["INTRINSIC_SWEEP"].split()
    done = HydraConfig.get().job.num + 1
    left = (time.time() - float(began)) / done * (int(count) - done)
    return f"[{done:{len(count)}}/{count}, {left:4.0f} s left]  "
