"""A table as CSV that spreadsheets show and don't run."""

import re

import pandas as pd

_FORMULA = re.compile("[=+\\-@\t\r＝＋－＠]")  # what a cell begins with that a spreadsheet takes for a formula


def as_csv(rows: pd.DataFrame) -> bytes:
    """The table in UTF-8; an apostrophe stands before text, and a heading, that a spreadsheet would compute.

    Numbers are written as they are, negative ones too, and so is text that is one.
    """
    table = rows.copy()
    for place, dtype in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            table.isetitem(place, table.iloc[:, place].map(_inert))
    table.columns = [_inert(name) for name in table.columns]
    return table.to_csv(index=False, lineterminator="\n").encode(errors="backslashreplace")


def _inert(value: object) -> object:
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
