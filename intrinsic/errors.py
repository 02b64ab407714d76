"""The one exception for mistakes that a user can mend."""


def printable(text: str) -> str:
    r"""`text` on one line of printable characters: others are written as in a Python string, \x1b, \n, \u202e.

    Not printable are controls, escapes, ends of lines, marks that turn the direction of reading and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


class UserError(ValueError):
    r"""A rule was broken by an input; the message is one line that names the rule, the value and the remedy.

    The command line prints it without a traceback; any other exception is a bug and keeps its traceback. What steers a
    terminal, in a name or text of somebody else's, is written as in a Python string: \x1b, \n.

    Examples:
        >>> import intrinsic
        >>> intrinsic.Fastfood(30, 20, seed=0)
        Traceback (most recent call last):
            ...
        intrinsic.errors.UserError: need 0 < dim <= full_dim, got dim=30, full_dim=20
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(str(message)))
