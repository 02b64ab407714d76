"""Notes on runs that read other data under one name."""

from collections import Counter

import pandas as pd

from analysis.studies.plain import plain


def other_data(frame: pd.DataFrame) -> list[str]:
    """A note for each name of a file of the user's own that held other data in some of the runs.

    Args:
        frame: as from `analysis.studies.records.load_records`, with `files`; records of before say nothing of them.
    """
    held: dict[str, Counter[str]] = {}
    for files in frame["files"]:
        for name, value in files.items():
            held.setdefault(str(name), Counter())[str(value)] += 1
    return [
        f"{plain(name, 100)} held other data in {counts.total() - max(counts.values())} of {counts.total()} runs than "
        "in the others: their scores do not belong together; those of the older data may go into a study of their own"
        for name, counts in held.items()
        if len(counts) > 1
    ]
