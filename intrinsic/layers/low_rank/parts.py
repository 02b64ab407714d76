"""Updates of parts of a matrix: query, key and value where one matrix holds them all."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intrinsic.layers.low_rank.base import LowRank, check_rank, kaiming
from intrinsic.layers.low_rank.experts import expert_names
from intrinsic.surgery.added_module import AddedModule, wide_like
from intrinsic.surgery.torch_internals import has_one_input_matrix, own_modules

# layers whose output is query, key and value, a third each and in this order, in every public model that has a layer of
# this name and of three times as many outputs as inputs. Not so: query_key_value, qkv_proj (interleaved by heads, or of
# unequal sizes), and the nn.Linear called c_attn (GPT-BigCode)
FUSED = {"Conv1D": ("c_attn",), "Linear": ("qkv", "Wqkv")}


class Part(AddedModule):
    """The factors of some rows of a matrix: A (r, in), B (rows, r)."""

    room: int | None

    def __init__(self, like: Tensor, rows: tuple[int, int], inputs: int, rank: int, scaling: float, seed: int) -> None:
        super().__init__()
        self.rows, self.scaling, self.narrow = rows, scaling, like.dtype
        count = rows[1] - rows[0]
        self.room = check_rank(rank, count, inputs)
        self.lora_A = nn.Parameter(kaiming(seed, rank, inputs).to(wide_like(like)))
        self.lora_B = nn.Parameter(torch.zeros(count, rank).to(wide_like(like)))

    def constants(self) -> dict[str, Any]:
        """The rows, and s."""
        return {"rows": list(self.rows), "scaling": float(self.scaling)}


class Parts(LowRank):
    """A layer with updates of parts of its outputs, each with factors of its own: W_q + s B_q A_q.

    It is not LoRA on the whole matrix, whose outputs would share one A. As one update of the whole it has the rank
    of all parts together, `lora_A` their A below each other and `lora_B` their s B along a diagonal; its own scaling
    is 1. The factors that are trained are in the layer's children: `<layer>.q.lora_A`.

    Args:
        base: the layer.
        parts: by the part's name: rank, scaling and seed.
        dropout: as in `LowRank`; the parts see the same input.
    """

    _outputs: int = 0
    _parts: Sequence[str] = ()

    def __init__(self, base: nn.Module, parts: Mapping[str, tuple[int, float, int]], dropout: float = 0.0) -> None:
        LowRank.__init__(self, base, 1.0, dropout)
        self._outputs, inputs = self._shape()
        rows = _rows(base, self._outputs)
        self._parts = list(parts)
        for name, (rank, scaling, seed) in parts.items():
            part = Part(self.target, rows[name], inputs, rank, scaling, seed)
            self._put(name, part.train(base.training))

    @abstractmethod
    def _shape(self) -> tuple[int, int]:
        """Outputs and inputs of the matrix."""

    def _put(self, name: str, part: Part) -> None:
        owner: nn.Module = self
        *path, last = name.split(".")
        for step in path:
            if step not in own_modules(owner):
                owner.add_module(step, nn.Module().train(self.training))
            owner = owner.get_submodule(step)
        owner.add_module(last, part)

    @property
    def parts(self) -> dict[str, Part]:
        """The parts by name."""
        return {name: self.get_submodule(name) for name in self._parts}  # type: ignore[misc]  # `_put` put them there

    @property
    def lora_A(self) -> Tensor:  # type: ignore[override]  # noqa: N802
        """Of all parts as one update: (sum of r, in)."""
        return torch.cat([part.lora_A for part in self.parts.values()])

    @property
    def lora_B(self) -> Tensor:  # type: ignore[override]  # noqa: N802
        """Of all parts as one update, their scalings included: (out, sum of r)."""
        blocks = []
        for part in self.parts.values():
            start, stop = part.rows
            blocks.append(F.pad(part.scaling * part.lora_B, (0, 0, start, self._outputs - stop)))
        return torch.cat(blocks, dim=1)


def part_names(name: str, module: nn.Module) -> list[str]:
    """The parts that a module of this name has: its own children could be called so, and never are."""
    if isinstance(module, nn.MultiheadAttention):
        return list(_rows(module, 1)) if has_one_input_matrix(module) else []
    if experts := expert_names(module):
        return experts
    for kind, names in FUSED.items():
        if name.rpartition(".")[2] in names and any(base.__name__ == kind for base in type(module).__mro__):
            weight: Any = module.weight
            inputs, outputs = weight.shape if kind == "Conv1D" else weight.shape[::-1]
            if outputs == 3 * inputs:
                return list(_rows(module, outputs))
    return []


def _rows(base: nn.Module, outputs: int) -> dict[str, tuple[int, int]]:
    third = outputs // 3
    thirds = {part: (index * third, (index + 1) * third) for index, part in enumerate("qkv")}
    if not isinstance(base, nn.MultiheadAttention):
        return thirds
    return {"in_proj": (0, outputs)} | {f"in_proj.{part}": rows for part, rows in thirds.items()}
