"""Text of a record as figures, tables and pages can hold it."""

import hashlib
from typing import Any

from intrinsic.errors import printable

LONGEST = 1000  # characters


def plain(text: str, longest: int = LONGEST) -> str:
    r"""`text` on one line of printable characters, of about `longest` at most; different texts stay different.

    What is not printable (controls, ends of lines, marks that turn the direction of reading, lone surrogates) is
    written as in a Python string: \x1b, \n, \u202e. What is cut leaves its length and a hash in its place.
    """
    if len(text) > longest:
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
        text = f"{text[: longest - 30]}…({len(text):,} characters, {digest})"
    return printable(text)


def plain_tree(node: Any) -> Any:
    """The same for every text in nested lists and mappings, keys too."""
    if isinstance(node, str):
        return plain(node)
    if isinstance(node, dict):
        return {plain(str(key)): plain_tree(value) for key, value in node.items()}
    return [plain_tree(value) for value in node] if isinstance(node, list) else node
