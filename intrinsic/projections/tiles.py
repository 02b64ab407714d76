"""Tiles: work in parts."""

from collections.abc import Iterator


def tiles(count: int) -> Iterator[slice]:
    """`count` things in slices of a sixteenth, but of 65,536 at least: what is made for one at a time takes little."""
    step = max(1 << 16, -(-count // 16))
    return (slice(low, min(low + step, count)) for low in range(0, count, step))
