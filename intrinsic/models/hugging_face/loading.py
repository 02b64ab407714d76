"""Loading by transformers of what a stranger has written."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from intrinsic.errors import UserError
from intrinsic.models.hugging_face.transformers_package import hf_import

LONGEST = 200  # characters of what transformers says


@contextmanager
def loading(folder: str, what: str, *, view: str = "") -> Iterator[None]:
    """Without transformers' bars and reports, and with all that it raises in one line that names `folder`.

    What is wrong in a stranger's folder, a type in config.json or a byte of a tokenizer, may end in any exception
    of transformers, tokenizers or torch: whichever it is, the folder is at fault. That memory is short, or that someone
    interrupts, is not.

    Args:
        folder: as the user named it.
        what: the folder is needed as.
        view: what transformers reads in its place, and names in what it says.

    Raises:
        UserError: for whatever is raised in it.
    """
    reports = hf_import().logging
    level, bars = reports.get_verbosity(), reports.is_progress_bar_enabled()
    reports.set_verbosity(logging.CRITICAL + 1)
    reports.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (UserError, MemoryError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # of Rust, in tokenizers
            raise
        said = f"{type(error).__name__}: {error}".replace(view or folder, folder)
        said = " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())[:LONGEST]
        raise UserError(
            f"cannot load {folder} ({said}): need {what}; offline, give its folder, model.name=<folder>"
        ) from None
    finally:
        reports.set_verbosity(level)
        if bars:
            reports.enable_progress_bar()
