"""Files in the places of others."""

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from intrinsic.files.sync import sync_folder


def replace_together(staged: Mapping[Path, Path]) -> None:
    """Put temporary files (values) in the places of their targets (keys).

    Of several, the last is taken away before the first of the others is replaced, and comes last.

    Raises:
        OSError: if one cannot be replaced. All are then as they were, or the last is missing.
    """
    *others, last = staged
    old: dict[Path, Path | None] = {}  # where each that was there is kept until all are new
    try:
        for target in (last, *others) if others else ():
            kept = Path(tempfile.mkdtemp(dir=staged[target].parent)) / target.name if target.exists() else None
            old[target] = kept
            if kept is not None:
                _keep(target, kept, away=target == last)
            sync_folder(target.parent)
            if target != last:
                os.replace(staged[target], target)
        for folder in {target.parent for target in others}:
            sync_folder(folder)
        os.replace(staged[last], last)
    except BaseException:
        with suppress(OSError):  # one that cannot be put back leaves the last one, which comes at the end, away
            for target, kept in reversed(old.items()):
                _put_back(target, kept)
        raise
    sync_folder(last.parent)


def _keep(target: Path, kept: Path, *, away: bool) -> None:
    if not away:
        with suppress(OSError):  # file systems may know no second names
            os.link(target, kept)
            return
    os.replace(target, kept)


def _put_back(target: Path, kept: Path | None) -> None:
    if kept is None:
        target.unlink(missing_ok=True)
    elif kept.exists() and not (target.exists() and kept.samefile(target)):
        os.replace(kept, target)
