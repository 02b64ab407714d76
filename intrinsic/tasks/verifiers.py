"""Verifiers: whether an answer of a language model says what the reference does."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from intrinsic.errors import UserError

Verifier = Callable[[str, str], bool]  # (answer, reference)
FORMS = ("strict", "flexible")
# a sign counts where no digit, letter or bracket stands before it: 3-5 holds 3 and 5; commas part groups of three
SIGN, WHOLE = r"(?:(?<![\w.)])[-+\u2212])?", r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
NUMBER = re.compile(rf"{SIGN}(?:{WHOLE}(?:\.\d+)?|(?<!\d)\.\d+)", re.ASCII)


def last_number(text: str) -> Decimal | None:
    """The last number in a text: sign, digits, commas between groups of three, decimals; None if there is none."""
    found = NUMBER.findall(text)
    return _value(found[-1]) if found else None


def _value(digits: str) -> Decimal:
    return Decimal(digits.replace(",", "").replace("\u2212", "-"))


def exact_strict(answer: str, reference: str) -> bool:
    """Every character is equal, but for white space at both ends."""
    return answer.strip() == reference.strip()


def exact_flexible(answer: str, reference: str) -> bool:
    """Equal but for case, for how much white space stands between words, and for punctuation .,;:!? at the end."""
    return _relaxed(answer) == _relaxed(reference)


def _relaxed(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(" .,;:!?")


def number_strict(answer: str, reference: str) -> bool:
    """The answer is a number and nothing else, but for white space at both ends: that of the reference, its last."""
    whole = NUMBER.fullmatch(answer.strip())
    return whole is not None and _value(whole[0]) == last_number(reference)


def number_flexible(answer: str, reference: str) -> bool:
    """The last number in the answer is that of the reference, its last: 18 is 18.0, and 1,000 is 1000."""
    found = last_number(answer)
    return found is not None and found == last_number(reference)


VERIFIERS: Mapping[tuple[str, str], Verifier] = {
    ("exact", "strict"): exact_strict,
    ("exact", "flexible"): exact_flexible,
    ("number", "strict"): number_strict,
    ("number", "flexible"): number_flexible,
}


def verifier(name: str | None, form: str) -> Verifier | None:
    """The verifier of a name and a form; None where there is no name.

    Raises:
        UserError: for one that is not in `VERIFIERS`.
    """
    names = sorted({name for name, _ in VERIFIERS})
    if form not in FORMS:
        raise UserError(f"need dataset.form={' or '.join(FORMS)}, got form={form!r:.100}")
    if name is None:
        return None
    if name not in names:
        raise UserError(f"need dataset.verifier={', '.join(names)} or null, got verifier={name!r:.100}")
    return VERIFIERS[name, form]
