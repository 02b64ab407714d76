"""The files that texts show, as they stand there."""

import re


def examples(text):
    """Files by their path: a block after each path."""
    return dict(re.findall(r"`([\w/]+\.(?:py|yaml))`:\n\n```\w+\n(.*?)```", text, flags=re.DOTALL))
