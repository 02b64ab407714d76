"""The one exception for mistakes that a user can mend."""


class UserError(ValueError):
    """A rule was broken by an input; the message is one line that names the rule, the value and the remedy.

    The command line prints it without a traceback; any other exception is a bug and keeps its traceback.
    """
