"""Low-rank updates of chosen layers."""

from dataclasses import dataclass

from torch import nn

from intrinsic.layers.low_rank import LowRank, kinds, low_rank, part_names
from intrinsic.spaces.low_rank import LowRankSpace
from intrinsic.surgery.targets import find_targets


@dataclass(frozen=True)
class LoRA(LowRankSpace):
    """The factors of W + s B A for each target; s = alpha / rank, or alpha / sqrt(rank) with `rslora`.

    A is Kaiming-uniform and B zero (embeddings: A zero, B normal). Source: Hu et al. 2021, arXiv:2106.09685, equation
    3; rslora: Kalajdzievski 2023, arXiv:2312.03732.

    Args:
        rank: r, the inner size of the factors.
        alpha: the numerator of the scale.
        targets: nn.Linear, nn.Conv2d, nn.Embedding and transformers' Conv1D modules; a string is a regular expression
            for the full name, a list holds dotted suffixes, "all-linear" is every nn.Linear and Conv1D but the head.
            Parts of a matrix that holds query, key and value are targets of their own, each with an A and a B:
            `attn.c_attn.q` (GPT-2), `attn.qkv.v`; of nn.MultiheadAttention `attn.in_proj.q`, or `attn.in_proj`.
            So are tensors of all experts of a mixture (experts, out, in), each expert with an A and a B:
            `mlp.experts.down_proj` (Mixtral, Qwen-MoE). "all-linear" leaves parts out, as in PEFT.
        rslora: rank-stabilised scaling.
        rank_pattern: ranks of some targets, by a regular expression for the end of their name, the first that matches;
            as PEFT reads it.
        alpha_pattern: their alphas, in the same way.
        dropout: the chance with which an input of A is dropped in training, drawn from torch's global random state.

    Examples:
        >>> import torch, intrinsic
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.Linear(8, 2))
        >>> net = intrinsic.Subspace(model, space=intrinsic.LoRA(rank=2))  # the head has none
        >>> dict(zip(net.coordinate_names, net.coordinate_sizes))
        {'0.lora_A': 40, '0.lora_B': 16}
    """

    factors = ("lora_A", "lora_B")

    def _places(self, model: nn.Module) -> dict[str, nn.Module]:
        return find_targets(model, self.targets, tuple(kinds()), part_names)

    def _layer(self, module: nn.Module, rank: int, scaling: float, seed: int) -> LowRank:
        return low_rank(module, rank, scaling, seed=seed, dropout=self.dropout)
