"""The lines of a text file."""

from pathlib import Path

from intrinsic.checks import check_memory
from intrinsic.errors import UserError

BYTES = 6  # of memory for a byte of text: as it is read, as characters, and as lines


def read_lines(path: Path, *, remedy: str) -> list[str]:
    """The lines of a UTF-8 file, which LF or CRLF ends; without their ends, and without a byte order mark.

    Nothing else ends a line: a lone CR, U+0085, U+2028, form feeds and separators stand inside texts, where
    `str.splitlines` and a file opened as text would cut.

    Args:
        path: of a regular file: what is no file may have no end.
        remedy: ends the message of an error.

    Raises:
        UserError: for a file that cannot be read, does not fit into memory, or is not UTF-8.
    """
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: cannot be read (not a regular file): {remedy}")
        check_memory(BYTES * path.stat().st_size, path)
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): {remedy}") from None
    return [line.removesuffix("\r") for line in content.split("\n")]
