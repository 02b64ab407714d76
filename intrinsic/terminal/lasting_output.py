"""Output that never costs results."""

import errno
import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from intrinsic.terminal.say import say


@contextmanager
def lasting_output() -> Iterator[None]:
    """Let what is printed be lost without an exception, whoever prints it: the body runs to its end.

    What lay behind standard output may be full, or gone (`| head`): for the latter the program ends quietly, for any
    other reason with a line and exit status 1. A character that the terminal's encoding lacks is printed as its escape.
    """
    for descriptor in range(3):  # one that was closed before the program began would be the first file that it opens
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    usual = sys.stdout, sys.stderr
    out, err = _Lasting(sys.stdout), _Lasting(sys.stderr)
    sys.stdout, sys.stderr = out, err
    try:
        yield
        out.flush()
        if out.lost is not None and out.lost.errno != errno.EPIPE:
            say(f"error: cannot print to standard output: {out.lost.strerror or out.lost}", sys.stderr)
            raise SystemExit(1)
    finally:
        sys.stdout, sys.stderr = usual
        out.end()
        err.end()


class _Lasting:
    """A stream that does not fail; `lost` is why it would have, first."""

    def __init__(self, stream: Any) -> None:
        self._stream = open(os.devnull, "w") if stream is None else stream  # noqa: SIM115  # as long as the program
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except UnicodeEncodeError as error:
            self.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
        except OSError as error:
            self.lost = self.lost or error
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self.lost = self.lost or error

    def end(self) -> None:
        """Let the flush at Python's own end find a place where it succeeds."""
        self.flush()
        if self.lost is not None:
            with suppress(io.UnsupportedOperation), open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
