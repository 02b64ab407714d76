"""The error of a part that breaks a rule, and how rules raise it."""

import torch
from torch import Tensor


class ContractError(AssertionError):
    """A part breaks a rule of its contract; the message is one line: whose, which rule, and the figures."""


def expect(kept: bool, part: object, rule: str, found: str) -> None:
    """Check that a rule is kept.

    Raises:
        ContractError: if it is not.
    """
    if not kept:
        text = " ".join(str(part).split())
        raise ContractError(f"{text:.200} breaks the rule: {rule}; {found}")


def expect_close(found: Tensor, expected: Tensor, part: object, rule: str, what: str, *, atol: float) -> None:
    """Check that numbers are those of the rule, to |found - expected| <= atol (1 + |expected|), and of their shape.

    Raises:
        ContractError: if they are not.
    """
    shapes = f"{what} has shape {tuple(found.shape)}, need {tuple(expected.shape)}"
    expect(found.shape == expected.shape, part, rule, shapes)
    if not expected.numel():
        return
    off = ((found.double() - expected.double()).abs() / (1 + expected.double().abs())).flatten()
    worst = int(off.nan_to_num(nan=torch.inf).argmax())
    numbers = f"{found.flatten()[worst].item():.6g}, need {expected.flatten()[worst].item():.6g}"
    expect(bool(off[worst] <= atol), part, rule, f"of {what} entry {worst} is {numbers} within {atol:.0e}")
