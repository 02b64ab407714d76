"""Learning rates that differ between groups of what is trained."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from torch import nn

from intrinsic.checks import number
from intrinsic.errors import UserError
from intrinsic.subspace import Subspace
from intrinsic.surgery.head import head_parameters


def rate_factors(net: Subspace, groups: Mapping[str, float]) -> dict[str, float]:
    """The factor of each trained parameter's learning rate, by the net's name for it; 1 where no group has it.

    A group is `head`, the last layer where it is trained as it is, or part of names between dots: `z`, `lambdas`,
    `lora_B`, `up`, `model.hidden.0`. LoRA+ is {"lora_B": 16} (Hayou, Ghosh, Yu 2024, arXiv:2402.12354).

    Args:
        net: what is trained.
        groups: factors by the name of a group.

    Raises:
        UserError: for a factor that is no number above 0, a group of nothing, and a parameter in two of them.
    """
    check_groups(groups)
    names = [name for name, _ in net.named_parameters()]
    held = {group: _names(net, names, group) for group in groups}
    factors: dict[str, float] = {}
    for group, members in held.items():
        if not members:
            there = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in names))
            raise UserError(f"lr_groups has {group}, and nothing of that name is trained: there is {there:.200}")
        for name in members:
            if name in factors:
                other = next(other for other, found in held.items() if name in found)
                raise UserError(f"lr_groups has {name} twice, in {other} and in {group}: leave one out")
            factors[name] = float(groups[group])
    return {name: factors.get(name, 1.0) for name in names}


def check_groups(groups: Any) -> None:
    """Check that groups are names with factors above 0.

    Raises:
        UserError: if not.
    """
    if not isinstance(groups, Mapping):
        raise UserError(f"need lr_groups as names with factors, got lr_groups={groups!r:.100}")
    for group, factor in groups.items():
        if not number(f"lr_groups.{group}", factor) > 0:
            raise UserError(f"need lr_groups.{group} > 0, got lr_groups.{group}={factor}")


def rate_groups(
    parameters: Mapping[str, nn.Parameter], factors: Mapping[str, float], lr: float
) -> list[dict[str, Any]]:
    """The parameters in groups of one rate each, as an optimiser takes them; one group where all have one."""
    order: Sequence[str] = sorted(parameters, key=lambda name: factors[name])  # stable
    return [
        {"params": [parameters[name] for name in members], "lr": lr * factor}
        for factor, members in groupby(order, key=lambda name: factors[name])
    ]


def _names(net: Subspace, names: Sequence[str], group: str) -> list[str]:
    if group == "head":
        head = {f"model.{name}" for name in head_parameters(net.model)}
        return [name for name in names if name in head]
    return [name for name in names if f".{group}." in f".{name}."]
