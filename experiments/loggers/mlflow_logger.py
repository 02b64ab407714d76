"""MLflow as a logger: one run of theirs for each run of ours."""

import logging
import os
import re
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from experiments.loggers.epoch_values import epoch_values, flat
from intrinsic.errors import UserError
from intrinsic.files.lock import locked
from intrinsic.missing_package import missing_package
from intrinsic.terminal.one_line import one_line
from intrinsic.terminal.say import say
from intrinsic.training.epoch import Epoch

OURS = "intrinsic.run_id"  # the tag by which a run is found again
LARGEST, LONGEST = 100, 6000  # parameters that MLflow takes at once, and letters of one


class MlflowLogger:
    """Log every epoch; experiment = study, name = run id, by which a resumed run is found, and goes on.

    Epochs that MLflow has are not logged again. A run that failed is FAILED, one that was stopped is KILLED; one that
    was killed stays RUNNING until it is taken up. A server that goes away while a run trains costs what it was not
    told, and not the run.

    Args:
        config: the run's resolved config.
        folder: the run's folder.
        experiment: of MLflow; None: the study's name.
        uri: of the store, such as http://HOST:PORT; None: the environment's MLFLOW_TRACKING_URI, else a database
            mlflow.db in the folder of all outputs.

    Raises:
        UserError: if the package is missing, and for what MLflow refuses: an address, a name.
    """

    def __init__(self, *, config: dict[str, Any], folder: Path, experiment: str | None, uri: str | None) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nobody but the store is told
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError:
            raise missing_package("mlflow-skinny", "mlflow") from None
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)  # a new database is made in ten lines
        self._refused, self._complained = MlflowException, False
        home = folder.absolute().parent.parent
        address = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"
        try:
            if not address.startswith("sqlite:"):
                self._start(MlflowClient(address), config, folder.name, experiment, None)
            else:  # of several processes that make the database at once, all but one fail
                with locked(home / ".mlflow.lock", purpose="opens MLflow's database", setting="output"):
                    self._start(MlflowClient(address), config, folder.name, experiment, (home / "mlartifacts").as_uri())
        except (MlflowException, OSError) as error:
            line = one_line(" ".join(str(error).split()))
            raise UserError(
                f"MLflow refuses logger.uri={address} logger.experiment={experiment}: {line}; choose others"
            ) from None

    def _start(
        self, client: Any, config: dict[str, Any], name: str, experiment: str | None, artifacts: str | None
    ) -> None:
        """Find the run, or make it; and what it has been told."""
        self._client = client
        home = self._experiment(str(config["study"]) if experiment is None else experiment, artifacts)
        found = self._client.search_runs([home], f"tags.`{OURS}` = '{name}'", max_results=1)
        if found:
            self._id = found[0].info.run_id
            told = self._client.get_metric_history(self._id, "train/loss")
            self._last = max((metric.step for metric in told), default=0)
            self._client.update_run(self._id, status="RUNNING")
            return
        self._id = self._client.create_run(home, run_name=name, tags={OURS: name}).info.run_id
        self._last = 0
        from mlflow.entities import Param

        values = {re.sub(r"[^\w\-./ :]", "_", key)[:250]: str(value)[:LONGEST] for key, value in flat(config).items()}
        params = [Param(key, value) for key, value in values.items()]
        for low in range(0, len(params), LARGEST):
            self._client.log_batch(self._id, params=params[low : low + LARGEST])

    def _experiment(self, name: str, artifacts: str | None) -> str:
        """The id of the experiment, which another process may make at the same time."""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name, artifact_location=artifacts))
            except self._refused:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def log(self, epoch: Epoch) -> None:
        """Log the numbers of an epoch under its number, unless that is done."""
        if epoch.epoch <= self._last:
            return
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(name, value, now, epoch.epoch) for name, value in epoch_values(epoch).items()]
        self._tell("log_batch", self._id, metrics=metrics)

    def __enter__(self) -> "MlflowLogger":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        status = "FINISHED" if kind is None else "FAILED" if issubclass(kind, Exception) else "KILLED"
        self._tell("set_terminated", self._id, status=status)

    def _tell(self, what: str, *arguments: Any, **options: Any) -> None:
        try:
            getattr(self._client, what)(*arguments, **options)
        except self._refused as error:
            if not self._complained:
                say(f"continues without MLflow: {one_line(' '.join(str(error).split()))}", sys.stderr)
            self._complained = True
