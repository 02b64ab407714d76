"""TensorBoard as a logger: event files in the folder of each run."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any

from experiments.loggers.epoch_values import epoch_values, flat
from intrinsic.errors import UserError
from intrinsic.missing_package import missing_package
from intrinsic.training.epoch import Epoch


class TensorboardLogger:
    """Log every epoch into `folder`/tensorboard, and the config for the page HPARAMS, where group = study.

    A resumed run goes on in a file of its own, which says from which epoch on it counts: what a kill had left of later
    epochs is no second value. A run that failed, or was stopped, is a failure on the page HPARAMS.

    Args:
        config: the run's resolved config.
        folder: the run's folder; `tensorboard --logdir outputs/STUDY` shows those of a study.

    Raises:
        UserError: if the package is missing, or the folder cannot be written to.
    """

    def __init__(self, *, config: dict[str, Any], folder: Path) -> None:
        try:
            import tensorboard  # noqa: F401  # what is asked for, before the second that the rest takes
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise missing_package("tensorboard", "tensorboard") from None
        self._config, self._folder = config, folder / "tensorboard"
        self._make = SummaryWriter
        self._writer: Any = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write to {self._folder}: {error.strerror}; choose another output=") from None

    def log(self, epoch: Epoch) -> None:
        """Log the numbers of an epoch under its number; they are on the disk then."""
        writer = self._open(epoch.epoch)
        for name, value in epoch_values(epoch).items():
            writer.add_scalar(name, value, epoch.epoch)
        writer.flush()

    def __enter__(self) -> "TensorboardLogger":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if kind is None and self._writer is None:
            return  # opened to see whether it can be
        from tensorboard.plugins.hparams.api_pb2 import Status

        writer = self._open(None)
        end = {"status": Status.STATUS_SUCCESS if kind is None else Status.STATUS_FAILURE, "end_time_secs": time.time()}
        writer.file_writer.add_summary(_session("end", session_end_info=end))
        writer.close()

    def _open(self, epoch: int | None) -> Any:
        """The writer, whose file begins with the first epoch that it is told of."""
        if self._writer is None:
            self._writer = self._make(str(self._folder), purge_step=epoch)
            start = {"group_name": str(self._config["study"]), "hparams": flat(self._config)}
            self._writer.file_writer.add_summary(
                _session("start", session_start_info={**start, "start_time_secs": time.time()})
            )
        return self._writer


def _session(moment: str, **info: Any) -> Any:
    """A message for the page HPARAMS; the package's own functions for it need TensorFlow."""
    from google.protobuf.json_format import ParseDict
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.metadata import NULL_TENSOR, create_summary_metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    metadata = create_summary_metadata(ParseDict(info, HParamsPluginData()))
    tag = f"_hparams_/session_{moment}_info"
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=NULL_TENSOR)])
