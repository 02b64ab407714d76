"""Regular expressions that others wrote."""

import re
import re._constants as kinds  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from functools import cache
from typing import Any

from intrinsic.errors import UserError

_LONGEST = 1_000_000  # characters
_MANY = 8  # a repetition that may be longer multiplies the time by that of others inside of it, or beside it
_BESIDE = 5


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A regular expression, if it is one whose time does not explode.

    Refused are repetitions of what has a repetition or a choice in it, such as (a+)+ or (a|ab)*, and many repetitions
    beside each other: on a name of 40 letters they can take years.

    Raises:
        UserError: for any other.
    """
    try:
        tree = parser.parse(pattern)
        found = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UserError(f"{pattern[:200]!r} is not a regular expression: {str(error)[:100]}") from None
    if len(pattern) > _LONGEST or _repetitions(tree, inside=False) > _BESIDE:
        raise UserError(
            f"{pattern[:200]!r} may take too long: need no repetition of what has one or a choice inside of it, as "
            f"(a+)+ and (a|ab)* have, and at most {_BESIDE} beside each other"
        )
    return found


def _repetitions(node: Any, *, inside: bool) -> int:
    """How many long repetitions stand beside each other; more than allowed if they, or choices, stand in others."""
    count = 0
    for kind, argument in node:
        if kind in (kinds.MAX_REPEAT, kinds.MIN_REPEAT):
            _, most, body = argument
            long = most == kinds.MAXREPEAT or int(most) > _MANY
            if inside and long:
                return _BESIDE + 1
            count += long + _repetitions(body, inside=inside or long)
        elif kind is kinds.BRANCH:
            if inside:
                return _BESIDE + 1
            count += max(_repetitions(branch, inside=False) for branch in argument[1])
        elif kind is kinds.SUBPATTERN:
            count += _repetitions(argument[-1], inside=inside)
        elif kind in (kinds.ASSERT, kinds.ASSERT_NOT):
            count += _repetitions(argument[1], inside=inside)
        elif kind is kinds.POSSESSIVE_REPEAT:
            count += _repetitions(argument[-1], inside=inside)
        elif kind is kinds.ATOMIC_GROUP:
            count += _repetitions(argument, inside=inside)
        elif kind is kinds.GROUPREF_EXISTS:
            return _BESIDE + 1
    return count
