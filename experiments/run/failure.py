"""Failures of a run: what is kept of them, and lack of memory among them."""

from pathlib import Path
from typing import Any

from intrinsic.files.records import Record


def failed_record(config: dict[str, Any], folder: Path, error: str) -> Record:
    """The record of a run that crashed: it is listed by the analysis, and tried again by the next sweep."""
    return Record(
        run_id=folder.name,
        study=config["study"],
        status="failed",
        method=config["method"],
        error=error,
        config=config,
    )


def out_of_memory(error: Exception) -> bool:
    """Whether Python, numpy or torch says so: for torch on a CPU it is a RuntimeError like any other."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # torch is not imported here
    return named or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
