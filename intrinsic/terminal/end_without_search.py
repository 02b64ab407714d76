"""The end of a program, without a last search for garbage."""

import atexit
import gc


def end_without_search() -> None:
    """Let Python end without a last search for garbage; what is to be done at the end is done: 0.7 s, with torch."""
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
