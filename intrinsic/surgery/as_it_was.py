"""A model as it was, whatever stops a change of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def as_it_was(model: Any) -> Iterator[None]:
    """Let the body change a model: all of it, or nothing if anything stops it, an interrupt too.

    Nothing: each module has its class and its attributes again (children, parameters, buffers and hooks, lists and
    dictionaries in their order), each parameter its flag. The numbers in tensors are not looked after.
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    before = [(module, type(module), dict(vars(module)), _contents(module)) for module in modules]
    flags = [(parameter, parameter.requires_grad) for module in modules for parameter in module.parameters(False)]
    try:
        yield
    except BaseException:
        for module, kind, attributes, contents in before:
            if type(module) is not kind:
                module.__class__ = kind
            own = vars(module)
            for name in own.keys() - attributes.keys():
                del own[name]
            own.update(attributes)
            for held, content in contents:  # the same objects: handles of hooks know them
                held.clear()
                held.update(content) if isinstance(held, dict) else held.extend(content)
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        raise


def _contents(module: nn.Module) -> list[tuple[Any, Any]]:
    """The lists and dictionaries that a module holds, each with a copy."""
    return [(held, held.copy()) for held in vars(module).values() if isinstance(held, dict | list)]
