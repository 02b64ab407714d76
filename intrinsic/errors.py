"""The one exception for mistakes that a user can mend."""

from intrinsic.printable import printable


class UserError(ValueError):
    r"""A rule was broken by an input; the message is one line that names the rule, the value and the remedy.

    The command line prints it without a traceback; any other exception is a bug and keeps its traceback. What steers a
    terminal, in a name or text of somebody else's, is written as in a Python string: \x1b, \n.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(str(message)))
