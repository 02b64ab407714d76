"""Weights & Biases as a logger: one run of theirs for each run of ours."""

import os
from netrc import NetrcParseError, netrc
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlparse

from experiments.loggers.epoch_values import epoch_values
from intrinsic.errors import UserError
from intrinsic.missing_package import missing_package
from intrinsic.training.epoch import Epoch


class WandbLogger:
    """Log every epoch; group = study, id = run id, so that a resumed run goes on under its own name.

    Args:
        config: the run's resolved config.
        folder: the run's folder, where offline runs are kept (`wandb sync FOLDER/wandb/offline-run-*` uploads them).
        project: of W&B.
        entity: of W&B; None: the account's default.
        mode: "online", "offline", "disabled"; None: online where an API key is set up, else offline.

    Raises:
        UserError: without wandb, for another mode, and for what W&B refuses: a name, a missing API key.
    """

    def __init__(
        self, *, config: dict[str, Any], folder: Path, project: str, entity: str | None, mode: str | None
    ) -> None:
        if mode not in (None, "online", "offline", "disabled"):
            raise UserError(f"need logger.mode=online, offline, disabled or null, got logger.mode={mode}")
        try:
            import wandb  # takes a second to import
        except ImportError:
            raise missing_package("wandb", "program") from None

        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._run = wandb.init(
                project=project,
                entity=entity,
                mode=mode or _default_mode(),  # type: ignore[arg-type]
                group=str(config["study"]),
                id=folder.name,
                name=folder.name,
                resume="allow",
                config=config,
                dir=folder,
                settings=wandb.Settings(silent=True),
            )
        except (wandb.Error, ValueError) as error:  # ValueError: its settings are checked by pydantic
            line = " ".join(str(error).split())
            raise UserError(f"W&B refuses project={project} entity={entity} mode={mode}: {line}") from None

    def log(self, epoch: Epoch) -> None:
        """Log the numbers of an epoch under its number."""
        self._run.log(epoch_values(epoch), step=epoch.epoch)

    def __enter__(self) -> "WandbLogger":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._run.finish(exit_code=0 if kind is None else 1)


def _default_mode() -> str:
    """The mode that the environment asks for, else online if there is a key, without asking the network."""
    if "WANDB_MODE" in os.environ:
        return os.environ["WANDB_MODE"]
    if "WANDB_API_KEY" in os.environ:
        return "online"
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    try:
        return "online" if netrc().authenticators(host or "") else "offline"
    except (OSError, NetrcParseError):
        return "offline"
