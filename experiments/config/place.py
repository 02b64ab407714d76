"""The place of a study."""

import re
from typing import Any

from intrinsic.errors import UserError


def check_place(output: Any, study: Any) -> None:
    """Refuse what is no folder of studies, and a study that would lie elsewhere.

    Raises:
        UserError: unless `output` is a text and `study` a plain name.
    """
    if not isinstance(output, str) or not output or not _plain(study):
        raise UserError(f"need a folder as output and a plain name as study, got output={output} study={study}")


def _plain(study: Any) -> bool:
    """Whether it is a name; a whole number is one: 2026."""
    return type(study) in (str, int) and re.fullmatch(r"\w[\w.-]*", str(study)) is not None
