"""The match of a value of a config with an annotation."""

import typing
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal


def fits(value: Any, hint: Any) -> bool:
    """Whether `value`, of plain values, lists and mappings, is of the annotation's kind; a list may be a tuple there.

    A bool is not a number, an integer is one. What no config can hold fits nothing; an unknown annotation fits all.
    """
    if hint is Any:
        return True
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, UnionType):
        return any(fits(value, each) for each in inner)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in inner)
    if origin is tuple and Ellipsis not in inner:
        return isinstance(value, list) and len(value) == len(inner) and all(map(fits, value, inner))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, dict) and all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    if isinstance(origin, type):
        return isinstance(value, list) and all(fits(each, inner[0]) for each in value)
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    if hint is None:
        return value is None
    return not isinstance(hint, type) or isinstance(value, NoneType if hint is NoneType else hint)
