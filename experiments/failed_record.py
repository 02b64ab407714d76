"""What is known of a run that crashed."""

from pathlib import Path
from typing import Any


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
