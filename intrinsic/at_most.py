"""How many of what takes a core this machine may be asked for."""

import os

THREADS = 16  # of one process, for each core
PROCESSES = 8  # for each core: what they need beside it, memory, is a matter of what they do


def at_most(each: int) -> int:
    """So many for each core, 64 on a small machine: more would end the machine and not the work."""
    return max(64, each * (os.cpu_count() or 1))
