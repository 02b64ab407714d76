"""Private names of transformers, and of accelerate beside it: every one that this project reads or sets, and why.

A test holds that no other file has them, and says which versions do.
"""

from collections.abc import Mapping
from typing import Any

# keys of config.json by which a model chooses code for its attention and its experts
IMPLEMENTATIONS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")
# where accelerate keeps what it did to a module
ACCELERATE = ("_hf_hook", "_old_forward")


def attention_of(config: Any) -> Any:
    """The name of the attention function that a model's config has chosen."""
    return config._attn_implementation


def set_attention(config: Any, name: str) -> None:
    """Choose an attention function in this config alone: the public property writes into the configs inside, too."""
    config.__dict__["_attn_implementation_internal"] = name


def model_mapping(auto: Any) -> Mapping[type, Any]:
    """The classes of models by the class of their config, of one of the Auto classes."""
    mapping: Mapping[type, Any] = auto._model_mapping
    return mapping


def name_or_path(config: Any) -> str | None:
    """What a config was loaded from."""
    return getattr(config, "_name_or_path", None) or None
