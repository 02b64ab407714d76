"""The options of `Transforms` as options of a dataset."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from intrinsic.data.transforms import Transforms
from intrinsic.tasks.task import Task


def with_transforms(load: Callable[..., Task]) -> Callable[..., Task]:
    """A function of keywords, among them `transforms`, as one that takes the options of `Transforms` in its place.

    Its signature has them, so that configs are checked against it; the defaults are those of `Transforms`.
    """
    before = inspect.signature(load)
    options = inspect.signature(Transforms).parameters
    own = {name: parameter for name, parameter in before.parameters.items() if name != "transforms"}
    signature = before.replace(parameters=[*own.values(), *options.values()])

    @wraps(load)
    def loaded(**arguments: Any) -> Task:
        given = signature.bind(**arguments).arguments
        transforms = Transforms(**{name: given.pop(name) for name in options if name in given})
        return load(**given, transforms=transforms)

    loaded.__signature__ = signature  # type: ignore[attr-defined]  # what inspect.signature returns
    return loaded
