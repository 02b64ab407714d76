"""Imports that Python does not look through for garbage."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lasting_imports(package: str) -> Iterator[None]:
    """Let the body import a large package, and what goes with it, without searches for garbage: nothing of it is any.

    Nor are there later ones among what is there by then, half a million objects with torch: they would take a second
    of a run. Where the package has been imported before, nothing is done.
    """
    if package in sys.modules:
        yield
        return
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
