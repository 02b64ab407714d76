"""The check of a space."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from intrinsic.models.vit import ViT
from intrinsic.spaces.base import Space
from intrinsic.testing.contract_error import ContractError, expect
from intrinsic.testing.reader import Reader
from intrinsic.testing.space_rules import RULES


def check_space(space: Space, *, model: Callable[[], nn.Module] | None = None, inputs: Tensor | None = None) -> None:
    """Check that a space keeps every rule of `space_rules`: a second.

    What it raises itself has a note that says which rule was being checked.

    Args:
        space: the space with its options.
        model: makes one that the space fits, called as model() and equal each time, without dropout. None: a small
            convolutional network, or a transformer where the space needs attention, tokens or
            normalisation.
        inputs: a batch for it. None: of images, (5, 1, 5, 5).

    Raises:
        ContractError: for the first rule that is broken, with the figures that show it.
    """
    base = "a space is an instance of a subclass of intrinsic.spaces.base.Space"
    expect(isinstance(space, Space), space, base, "it is none")
    needs = set(space.needs)
    usual = Reader if "tokens" in needs else _transformer if {"attention", "norms"} & needs else _convolutions
    chosen: Callable[[], nn.Module] = usual if model is None else model

    def make() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return chosen()

    batch = torch.linspace(0, 1, 5 * 25).view(5, 1, 5, 5).sin() if inputs is None else inputs
    for name, rule in RULES.items():
        try:
            rule(space, make, batch)
        except ContractError:
            raise
        except Exception as error:
            error.add_note(f"raised by {type(space).__name__} while its rule {name} was checked: {rule.__doc__}")
            raise


def _convolutions() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 7), nn.ReLU(), nn.Linear(7, 4))


def _transformer() -> nn.Module:
    return ViT((1, 5, 5), 4, patch=1, width=8, depth=2, heads=2, dropout=0.0)
