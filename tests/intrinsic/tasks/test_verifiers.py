"""Verifiers: what counts as an answer."""

from decimal import Decimal

import pytest

from intrinsic.errors import UserError
from intrinsic.tasks.verifiers import VERIFIERS, last_number, verifier

RIGHT = [  # verifier, form, answer, reference
    ("exact", "strict", " Paris\n", "Paris"),
    ("exact", "flexible", "the  capital, PARIS!", "The capital, Paris."),
    ("number", "strict", " 18.0\n", "9 * 2 = 18"),
    ("number", "strict", "-1,000", "-1000"),
    ("number", "flexible", "so 3 + 4 makes 7 eggs.", "7"),
    ("number", "flexible", "#### 1,234.50", "1234.5"),
    ("number", "flexible", "it is −3", "-3"),
    ("number", "flexible", "12-5", "5"),
    ("number", "flexible", "x = -5", "-5"),
]
WRONG = [
    ("exact", "strict", "paris", "Paris"),
    ("exact", "strict", "", "Paris"),
    ("exact", "flexible", "-5", "5"),
    ("number", "strict", "18 eggs", "18"),
    ("number", "strict", "18.", "18"),
    ("number", "strict", "$18", "18"),
    ("number", "strict", "", "18"),
    ("number", "flexible", "18, or 19", "18"),
    ("number", "flexible", "eighteen", "18"),
    ("number", "flexible", "x = -5", "5"),
]


@pytest.mark.parametrize(("name", "form", "answer", "reference"), RIGHT)
def test_right(name, form, answer, reference):
    assert verifier(name, form)(answer, reference) is True


@pytest.mark.parametrize(("name", "form", "answer", "reference"), WRONG)
def test_wrong(name, form, answer, reference):
    assert verifier(name, form)(answer, reference) is False


@pytest.mark.parametrize(("text", "number"), [
    ("1,2345", "2345"), ("1,234,567", "1234567"), (".5", "0.5"), ("1.2.3", "3"), ("3-5", "5"), ("(2)-1", "1"),
    ("a-4", "4"), ("= +4", "4"), ("0007", "7"), ("v2", "2"), ("9" * 400, "9" * 400),
])  # fmt: skip
def test_the_last_number(text, number):
    assert last_number(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "none", "١٢", "-", "."])
def test_no_number(text):
    assert last_number(text) is None


@pytest.mark.parametrize("choice", VERIFIERS)
def test_what_is_right_strictly_is_right_flexibly(choice):
    name, _ = choice
    for _, _, answer, reference in RIGHT + WRONG:
        if verifier(name, "strict")(answer, reference):
            assert verifier(name, "flexible")(answer, reference)


@pytest.mark.parametrize(
    ("name", "form", "match"),
    [
        ("sympy", "strict", "need dataset.verifier=exact, number or null, got verifier='sympy'"),
        ("exact", "loose", "need dataset.form=strict or flexible, got form='loose'"),
        (["exact"], "strict", r"got verifier=\['exact'\]"),
    ],
)
def test_one_that_there_is_not(name, form, match):
    with pytest.raises(UserError, match=match):
        verifier(name, form)
