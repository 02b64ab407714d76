"""Any change of a model's weights as LoRA: the best update of rank r of each matrix."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.layers.low_rank import LowRank, kinds, part_names
from intrinsic.layers.low_rank.conv1d import LowRankConv1D
from intrinsic.layers.low_rank.embedding import LowRankEmbedding
from intrinsic.peft.layout import exact_pattern, exact_targets
from intrinsic.spaces.lora import LoRA
from intrinsic.subspace import Subspace
from intrinsic.surgery.head import head_or_none, under
from intrinsic.surgery.targets import find_targets
from intrinsic.surgery.tree import parameter_slots


@dataclass(frozen=True)
class TruncatedLoRA:
    """What `truncated_lora` gives.

    Attributes:
        net: the model at the start, with factors B A of rank r beside each matrix that changed.
        errors: by layer ||dW - B A|| / ||dW||, Frobenius.
        error: the same of all of them together.
        lost: parameters and buffers that changed, and have no place in LoRA: biases, norms, experts.
        lost_share: of the squared change of all parameters but the head's.
    """

    net: Subspace
    errors: dict[str, float]
    error: float
    lost: list[str] = field(default_factory=list)
    lost_share: float = 0.0


@torch.no_grad()
def truncated_lora(start: nn.Module, end: nn.Module, *, rank: int) -> TruncatedLoRA:
    """LoRA around `start` that is as near to `end` as rank r allows, by the singular values of each matrix's change.

    dW = U S V^T, B = U_r sqrt(S_r), A = sqrt(S_r) V_r^T, at scale 1; what is left is sqrt(sigma_{r+1}^2 + ...), the
    least that any matrix of rank r leaves (Eckart & Young 1936). A matrix with room for less than r has all of its
    change. A head that changed and shares no weight is kept as it is, in full.

    Args:
        start: the model before, which is wrapped in place.
        end: the model after, of the same architecture.
        rank: r.

    Raises:
        UserError: if no matrix changed.
    """
    integer("rank", rank, 1)
    after = dict(end.named_parameters(remove_duplicate=False))
    change = {
        name: (after[name].detach().to(p.device) - p.detach()).double()
        for name, p in start.named_parameters(remove_duplicate=False)
        if not torch.equal(after[name].detach().to(p.device), p.detach())
    }
    head = _changed_head(start, change)
    layers = {
        name: module
        for name, module in start.named_modules(remove_duplicate=False)
        if type(module) in kinds() and f"{name}.weight" in change and not (head and under(name, head))
        if getattr(module, "groups", 1) == 1
    }
    if not layers:
        raise UserError(
            f"no matrix of {type(start).__name__} has changed that LoRA can update ({len(change)} parameters have): "
            "write it with intrinsic.save, or the whole model after merge()"
        )
    factors = {name: _factors(_matrix(change[f"{name}.weight"], module), rank) for name, module in layers.items()}
    ranks = {name: len(A) for name, (A, _, _) in factors.items()}
    pattern = exact_pattern(ranks, rank)
    known = find_targets(start, ".*", tuple(kinds()), part_names)
    targets = exact_targets(list(layers), list(known))
    space = LoRA(rank, float(rank), targets, rank_pattern=pattern, alpha_pattern=pattern)
    net = Subspace(start, space=space, head=None if head is None else "train")
    for name, (A, B, _) in factors.items():
        layer = start.get_submodule(name)
        assert isinstance(layer, LowRank)
        layer.lora_A.copy_(A.view(layer.lora_A.shape))
        layer.lora_B.copy_(B.view(layer.lora_B.shape))
        if isinstance(layer, LowRankEmbedding) and layer.base.padding_idx is not None:
            layer.lora_padding.copy_(A[:, layer.base.padding_idx])
    if head is not None:
        start.get_submodule(head).load_state_dict(end.get_submodule(head).state_dict())
    squares = {name: change[f"{name}.weight"].square().sum().item() for name in layers}
    left = {name: rest for name, (_, _, rest) in factors.items()}
    held = {f"{name}.weight" for name in layers}
    lost = {name: c.square().sum().item() for name, c in change.items() if name not in held}
    lost = {name: square for name, square in lost.items() if head is None or not under(name, head)}
    total = sum(squares.values()) + sum(lost.values())
    moved = [name for name, b in end.named_buffers() if not torch.equal(b, _buffer(start, name, b))]
    return TruncatedLoRA(
        net,
        {name: (left[name] / squares[name]) ** 0.5 for name in layers},
        (sum(left.values()) / sum(squares.values())) ** 0.5,
        [*lost, *moved],
        sum(lost.values()) / total,
    )


def _buffer(start: nn.Module, name: str, default: Tensor) -> Tensor:
    """A buffer of the model before, past the layers around it."""
    found = {key.replace(".base.", "."): value for key, value in start.named_buffers()}
    return found.get(name, default).to(default.device)


def _changed_head(start: nn.Module, change: dict[str, Tensor]) -> str | None:
    """The head, if it changed and shares no weight with what is no head."""
    head = head_or_none(start)
    if head is None or not any(under(name, head) for name in change):
        return None
    own = {id(parameter) for parameter in start.get_submodule(head).parameters()}
    slots = [slot for key, held in parameter_slots(start).items() if key in own for slot in held]
    return head if all(under(slot, head) for slot in slots) else None


def _matrix(change: Tensor, module: nn.Module) -> Tensor:
    """The change as (out, in)."""
    wrapper = kinds()[type(module)]
    return change.T if issubclass(wrapper, LowRankConv1D | LowRankEmbedding) else change.flatten(1)


def _factors(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """A, B and the squared norm of what they leave."""
    U, S, V = torch.linalg.svd(matrix, full_matrices=False)
    root = S[:rank].sqrt()
    return root[:, None] * V[:rank], U[:, :rank] * root, S[rank:].square().sum().item()
