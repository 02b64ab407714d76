"""VeRA, read as LoRA."""

from collections.abc import Mapping
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.checks import check_memory, integer
from intrinsic.errors import UserError
from intrinsic.peft.layout import PREFIX, SEEDS, factor_keys
from intrinsic.peft.peft_type import Adapter, PeftType
from intrinsic.peft.take_numbers import take_numbers
from intrinsic.peft.types.lora import TYPE as LORA

_B, _D = ".vera_lambda_b", ".vera_lambda_d"


class Vera(PeftType):
    """The same function as LoRA: A = diag(d) A, B = diag(b) B.

    PEFT cuts A and B of all layers from two matrices as large as the largest of them: they are in the file, or drawn by
    torch from `projection_prng_key`, A first, evenly within sqrt(6 / columns).
    """

    knobs = frozenset({"r", "projection_prng_key", "vera_dropout", "save_projection", "d_initial", "init_weights"})
    needed = ("r", "projection_prng_key")

    def read(
        self, model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: object
    ) -> Adapter:
        """Factors of LoRA, of layers that the model has, with both vectors."""
        return LORA.read(model, *_as_lora(model, config, tensors, folder), folder)


TYPE = Vera()


def _as_lora(
    model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: object
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration and the tensors of LoRA."""
    rank = integer("r", config["r"], 1, of="VeRA")
    rest, found, sizes = dict(tensors), {}, {}
    own = {end: key for key in tensors for end in ("vera_A", "vera_B") if f".{key}".endswith(f".{end}")}
    shared = {end: take_numbers(rest, own.get(end, end), 2, folder) for end in ("vera_A", "vera_B") if own}
    for key in [key for key in rest if key.endswith(_B)]:
        name = key.removeprefix(PREFIX).removesuffix(_B)
        layer = dict(model.named_modules()).get(name)
        weight = getattr(layer, "weight", None)
        if f"{PREFIX}{name}{_D}" not in rest or not isinstance(weight, Tensor) or weight.ndim != 2:
            raise UserError(
                f"{folder} updates {name}, and {type(model).__name__} has no such layer that VeRA fits: load it around "
                "the model that it was made for"
            )
        found[name] = take_numbers(rest, key, 1, folder), take_numbers(rest, f"{PREFIX}{name}{_D}", 1, folder)
        sizes[name] = tuple(weight.shape) if isinstance(layer, nn.Linear) else tuple(weight.T.shape)
    if not shared and found:
        seed = integer("projection_prng_key", config["projection_prng_key"], *SEEDS, of="VeRA")
        generator = torch.Generator().manual_seed(seed)
        outputs, inputs = (max(size[axis] for size in sizes.values()) for axis in (0, 1))
        check_memory(4 * rank * (outputs + inputs), f"VeRA of r={rank:.4g}")
        for end, shape in {"vera_A": (rank, inputs), "vera_B": (outputs, rank)}.items():
            bound = sqrt(2) / sqrt(shape[1]) * sqrt(3)
            shared[end] = torch.empty(shape).uniform_(-bound, bound, generator=generator)
    for name, (b, d) in found.items():
        A, B = shared["vera_A"][:, : sizes[name][1]], shared["vera_B"][: sizes[name][0]]
        if b.shape != B.shape[:1] or d.shape != A.shape[:1] or A.shape[1] != sizes[name][1]:
            raise UserError(
                f"{folder} holds {tuple(b.shape)} and {tuple(d.shape)} for {name}, of size {sizes[name]}, and rank "
                f"{rank}: load it around the model that it was made for"
            )
        rest |= zip(factor_keys(name, embedding=False), (d[:, None] * A, b[:, None] * B), strict=True)
    return {"r": rank, "lora_alpha": rank, "lora_dropout": config.get("vera_dropout", 0.0)}, rest
