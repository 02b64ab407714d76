"""The frame of every command: its mistakes in one line, its output whole."""

import atexit
import errno
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from intrinsic.errors import UserError
from intrinsic.terminal.lasting_output import lasting_output
from intrinsic.terminal.say import say

FULL = (errno.ENOSPC, errno.EDQUOT)  # of what was opened before: such an error names no file


@contextmanager
def command() -> Iterator[None]:
    """End a user's mistake, and a file that cannot be used, with one line and exit status 2; Ctrl-C with 130.

    Any other exception is a bug and keeps its traceback. Printing never costs results (see `lasting_output`).
    """
    _end_without_search()
    with lasting_output():
        try:
            yield
        except UserError as error:
            _refuse(str(error))
        except OSError as error:
            if error.filename is None and error.errno not in FULL:
                raise
            place = error.filename if error.filename is not None else "the disk"
            _refuse(f"cannot use {place}: {error.strerror}; choose another folder")
        except KeyboardInterrupt:
            say("stopped", sys.stderr)
            raise SystemExit(130) from None


def _refuse(message: str) -> None:
    say(f"error: {message}", sys.stderr)
    raise SystemExit(2) from None


def _end_without_search() -> None:
    """Let Python end without a last search for garbage, 0.7 s with torch; what is to be done at the end is done."""
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
