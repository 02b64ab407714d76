"""The layers behind which adapters go."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from intrinsic.errors import UserError
from intrinsic.surgery.targets import find_targets

# full names of the last layer of self-attention and of the feed-forward, by whose model has it
_ATTENTION = (
    r"attention\.output\.dense",  # BERT, RoBERTa
    r"attn\.c_proj",  # GPT-2
    r"self_attn\.o_proj",  # Llama
    r"SelfAttention\.o",  # T5
    r"attention\.output",  # our ViT
)
_FEED_FORWARD = (
    r"(?<!attention\.)output\.dense",  # BERT, RoBERTa
    r"mlp\.c_proj",  # GPT-2
    r"mlp\.down_proj",  # Llama
    r"DenseReluDense\.wo",  # T5
    r"blocks\.\d+\.down",  # our ViT
)


def adapter_places(
    model: nn.Module, placement: Literal["houlsby", "pfeiffer"], targets: str | Sequence[str] | None
) -> dict[str, nn.Module]:
    """The layers, by name, whose output adapters change: those of `targets`, else those of the placement.

    Raises:
        UserError: if there are none, or a layer is one that its owner never calls.
    """
    kinds = tuple({type(module) for module in model.modules() if output_width(module)})
    parts = {"attention": _ATTENTION, "feed-forward": _FEED_FORWARD}
    if placement == "pfeiffer":
        del parts["attention"]
    if targets is not None:
        places = find_targets(model, targets, kinds)
    else:
        places = {}
        for part, patterns in parts.items():
            pattern = rf"(.*\.)?({'|'.join(patterns)})"
            try:
                places |= find_targets(model, pattern, kinds)
            except UserError:
                raise UserError(
                    f"space adapter knows no {part} in {type(model).__name__}: name the layers with space.targets, or "
                    "use a model such as BERT, GPT-2, Llama, T5 or model=vit"
                ) from None
    uncalled = {id(m.out_proj): name for name, m in model.named_modules() if isinstance(m, nn.MultiheadAttention)}
    for name, module in places.items():
        if id(module) in uncalled:
            raise UserError(f"space adapter cannot follow {name}: nn.MultiheadAttention reads its weight only")
    order = {name: index for index, (name, _) in enumerate(model.named_modules())}
    return dict(sorted(places.items(), key=lambda item: order[item[0]]))


def output_width(module: nn.Module) -> int | None:
    """The size of the last axis of what a linear layer returns; None for other modules."""
    found = next((getattr(module, key) for key in ("out_features", "nf") if hasattr(module, key)), None)  # nf: Conv1D
    return found if isinstance(found, int) else None
