"""Parts of work on several threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")


def on_threads(work: Callable[[Part], object], parts: Sequence[Part]) -> None:
    """Call work(part) for each part, on as many threads as torch uses: for work that lets go of Python's lock."""
    threads = min(torch.get_num_threads(), len(parts))
    if threads < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, parts):
            pass  # raises what a part has raised
