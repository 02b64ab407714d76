"""Text that leaves a terminal, a figure and a page as they are."""


def printable(text: str) -> str:
    r"""`text` on one line of printable characters: others are written as in a Python string, \x1b, \n, \u202e.

    Not printable are controls, escapes, ends of lines, marks that turn the direction of reading and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
