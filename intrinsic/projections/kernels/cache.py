"""Compiled kernels on disk."""

import hashlib
import pickle
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

from intrinsic.terminal.say import say

_NOT_COMPILED = ("cache", "guarded_kernels", "prove", "prove_descent", "select")
_DIGEST = hashlib.sha256().digest_size


class Cache(FunctionCache):
    """Numba's cache, with which nothing but time is lost where it cannot be read or written.

    Each compilation has a file of its own, named by all that it depends on, with a checksum. With Numba's one index for
    all compilations of a function, code that was compiled from older versions of the files beside it counts as new, and
    of two processes that write at once one can find the other's code under the name of its own. What is damaged is
    compiled anew and written over. Where nothing can be read or written, one warning says so.
    """

    warned = False
    said = False  # to whoever waits, why

    @classmethod
    def serve(cls, dispatcher: Any) -> None:
        """Keep what a function of Numba's is compiled to, where there is a place for it."""
        try:
            dispatcher._cache = cls(dispatcher.py_func)
        except (RuntimeError, OSError) as error:  # no folder that Numba knows of can be written
            cls._warn(error)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function for a signature, or None."""
        self._choose(sig, target_context.codegen())
        found = self._try(super().load_overload, sig, target_context)
        if found is None and not Cache.said:
            Cache.said = True
            say("compiling kernels, once: it may take a minute", sys.stderr)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, if it can be kept."""
        self._choose(sig, data.codegen)
        self._try(super().save_overload, sig, data)

    def _choose(self, sig: Any, codegen: Any) -> None:
        """Take the file of one compilation: one at a time, because Numba holds its compiler's lock here."""
        stamp = self._impl.locator.get_source_stamp()
        described = repr((self._index_key(sig, codegen), stamp, _sources(), numba.__version__, llvmlite.__version__))
        name = f"{self._impl.filename_base}-{hashlib.sha256(described.encode()).hexdigest()[:16]}"
        self._cache_file = _Checked(self._cache_path, name, stamp)

    def _try(self, action: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return action(*arguments)
        except OSError as error:
            self.disable()
            self._warn(error)
            return None

    @staticmethod
    def _warn(error: Exception) -> None:
        if not Cache.warned:
            Cache.warned = True
            warnings.warn(
                f"compiled kernels cannot be kept ({error}): each process compiles them again, in seconds; set "
                "NUMBA_CACHE_DIR to a folder that can be written",
                RuntimeWarning,
                stacklevel=3,
            )


class _Checked(IndexDataCacheFile):
    """One file: a checksum, and what a function was compiled to. Nothing but what was written is unpickled and run."""

    def load(self, key: Any) -> Any:
        """What was written, or None if nothing was, or something else is there now."""
        try:
            content = Path(self._index_path).read_bytes()
        except FileNotFoundError:
            return None
        digest, content = content[:_DIGEST], content[_DIGEST:]
        return pickle.loads(content) if hashlib.sha256(content).digest() == digest else None  # noqa: S301

    def save(self, key: Any, data: Any) -> None:
        """Write the file, whole or not at all."""
        content = self._dump(data)
        with self._open_for_write(self._index_path) as file:
            file.write(hashlib.sha256(content).digest() + content)


@cache
def _sources() -> str:
    """A hash of all files that kernels import: Numba looks only at the one in which a kernel stands."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in _NOT_COMPILED and not path.stem.endswith(("_cpu", "_cuda")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
