"""Another's text on a line of ours: what steers a terminal becomes visible, what is long is cut."""

from intrinsic.errors import printable

LONGEST = 200


def one_line(text: object, longest: int = LONGEST) -> str:
    r"""`text` on one line, as a reader sees it and a terminal leaves it.

    What is not printable (controls, escapes, ends of lines, marks that turn the direction of reading, lone surrogates)
    is written as in a Python string: \x1b, \n, \u202e. Of more than `longest` characters the middle is left out, and
    its length stands in its place: a message keeps its beginning, the rule, and its end, the remedy.
    """
    line = str(text)
    left_out = len(line) - longest
    if left_out > 0:
        end = longest // 3
        line = f"{line[: longest - end]}...({left_out:,} characters)...{line[len(line) - end :]}"
    return printable(line)
