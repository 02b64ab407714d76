"""The places where a model attends to itself, and how a prefix gets in there."""

import copy
import inspect
import re
import sys
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.layers.attention import Attention
from intrinsic.layers.attention_products import leave_products, take_products, takes_products
from intrinsic.layers.gated_prefix import GatedPrefix
from intrinsic.surgery.dataflow.branches import find_branches
from intrinsic.surgery.transformers_internals import attention_of, set_attention

_NAME = "intrinsic_prefix"  # of our function among transformers' attention functions
_CROSS = re.compile(r"cross|encdec|encoder_attn", re.IGNORECASE)  # attention of a decoder to an encoder, by its name
_HEADS = ("num_attention_heads", "num_heads", "n_heads")  # as models of transformers call it
_HEAD_DIM = ("attention_head_size", "head_dim", "key_value_proj_dim", "head_size")


def find_attention(model: nn.Module, *, space: str = "prefix") -> dict[str, nn.Module]:
    """The self-attention modules by name: `Attention`, those of transformers that look their function up, or others.

    Others compute softmax(Q K^T) V themselves, as a call of the model shows: the owners of the layers that V comes
    from, see `find_branches`.

    Raises:
        UserError: if there are none.
    """
    found = {
        name: module
        for name, module in model.named_modules()
        if (isinstance(module, Attention) or _looks_up(module)) and not _CROSS.search(name)
    }
    return found or _of_branches(model, space)


def _of_branches(model: nn.Module, space: str) -> dict[str, nn.Module]:
    try:
        values = [b.values[0] for b in find_branches(model) if b.does == "self-attention" and b.values]
        reason = ""
    except UserError as error:
        values, reason = [], f" ({error})"
    owners = {name.rpartition(".")[0]: model.get_submodule(name.rpartition(".")[0]) for name in values}
    if not owners or model in owners.values():
        raise UserError(
            f"space {space} needs attention, {type(model).__name__} has none that takes a prefix{reason}: use a model "
            "of transformers, model=vit, or space=lora"
        )
    return owners


def _looks_up(module: nn.Module) -> bool:
    """Whether a module of transformers asks `ALL_ATTENTION_FUNCTIONS` how to attend."""
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    return hasattr(module, "config") and code is not None and "ALL_ATTENTION_FUNCTIONS" in code.co_names


def head_sizes(name: str, module: nn.Module) -> tuple[int, int, int]:
    """(heads, heads of keys and values, width of a head) of a module from `find_attention`.

    Raises:
        UserError: if the module does not say, or would attend in another way than transformers' functions.
    """
    if isinstance(module, Attention):
        return module.num_heads, module.num_heads, module.head_dim
    owners: list[Any] = [module, getattr(module, "config", None)]
    heads = [getattr(owner, key) for key in _HEADS for owner in owners if hasattr(owner, key)]
    widths = [getattr(module, key) for key in _HEAD_DIM if hasattr(module, key)]
    eager = hasattr(sys.modules[type(module).__module__], "eager_attention_forward")
    if not heads or not widths or (_looks_up(module) and not eager):
        raise UserError(f"space prefix cannot read the heads of {name}, a {type(module).__name__}: use space=lora")
    if getattr(module, "reorder_and_upcast_attn", False):
        raise UserError("space prefix needs reorder_and_upcast_attn=false in the model's config, got true")
    groups = getattr(module, "num_key_value_groups", 1) if _looks_up(module) else 1
    return heads[0], heads[0] // groups, widths[0]


def attach(module: nn.Module, prefix: GatedPrefix) -> None:
    """Add the prefix's share to what the module attends to, or put it in the place of the one that is there."""
    if not isinstance(module, Attention) and not has_prefix(module) and not _looks_up(module):
        take_products(module)
    elif not isinstance(module, Attention) and not has_prefix(module):
        sys.modules[type(module).__module__].ALL_ATTENTION_FUNCTIONS.register(_NAME, _attend)
        shared: Any = module.config
        own = copy.copy(shared)
        set_attention(own, _NAME)
        module.shared_config, module.config = shared, own
    module.prefix = prefix


def has_prefix(module: nn.Module) -> bool:
    """Whether a prefix is attached to this module."""
    return isinstance(getattr(module, "prefix", None), GatedPrefix)


def detach(module: nn.Module) -> None:
    """Take the prefix away: the module is as it was."""
    if isinstance(module, Attention):
        module.prefix = None
        return
    if takes_products(module):
        leave_products(module)
        del module.prefix
        return
    module.config = module.shared_config
    del module.prefix, module.shared_config


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, Tensor | None]:
    """What the model's own function gives, plus the prefix's share; its weights are of the tokens alone."""
    assert isinstance(module.prefix, GatedPrefix)
    source = sys.modules[type(module).__module__]
    function: Callable[..., Any] = source.ALL_ATTENTION_FUNCTIONS.get_interface(
        attention_of(module.shared_config), source.eager_attention_forward
    )
    usual = copy.copy(module)  # flash attention asks it for its variant; other threads ask the module itself for ours
    usual.config = module.shared_config
    mixed, weights = function(usual, query, key, value, attention_mask, **options)
    share = module.prefix.share(query, key, value, options.get("scaling"), options.get("dropout", 0.0))
    if share is None:
        return mixed, weights
    return mixed + share.transpose(1, 2).to(mixed.dtype), weights  # (n, tokens, heads, head_dim)
