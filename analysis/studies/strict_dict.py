"""Mappings of a file's content that miss nothing silently."""

from typing import Any

from intrinsic.errors import UserError


class StrictDict(dict[str, Any]):
    """A mapping, and those in it, that names its file when it is asked for what it lacks; `get` is that of any dict.

    Args:
        content: what the file holds.
        source: the file, and what it holds, for the message.
    """

    def __init__(self, content: dict[str, Any], source: str) -> None:
        super().__init__({key: _strict(value, source) for key, value in content.items()})
        self._source = source

    def __missing__(self, key: str) -> Any:
        raise UserError(f"{self._source} lacks {key!r}: delete it and measure again")


def _strict(value: Any, source: str) -> Any:
    if isinstance(value, list):
        return [_strict(each, source) for each in value]
    return StrictDict(value, source) if isinstance(value, dict) else value
