"""Folders of models that somebody else edited."""

import json

import pytest

from intrinsic.errors import UserError


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refused(match, function, *args, **options):
    with pytest.raises(UserError, match=match) as caught:
        function(*args, **options)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 800
    return message
