"""How many numbers does a network need to learn a task? Random subspaces and LoRA on one axis."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Subspace": "subspace",
    "Identity": "projections.identity",
    "Dense": "projections.dense",
    "Sparse": "projections.sparse",
    "Fastfood": "projections.fastfood",
    "Kronecker": "projections.kronecker",
    "OneHot": "projections.onehot",
    "Full": "spaces.full",
    "Head": "spaces.head",
    "BitFit": "spaces.bitfit",
    "LoRA": "spaces.lora",
    "Adapter": "spaces.adapter",
    "Prefix": "spaces.prefix",
    "Union": "spaces.union",
    "Bank": "bank",
    "quantize": "quantization",
    "save": "checkpoint",
    "load": "checkpoint",
    "export_peft": "peft.export_peft",
    "load_peft": "peft.load_peft",
    "estimate_threshold": "threshold",
    "Threshold": "threshold",
    "propose": "threshold",
    "UserError": "errors",
}

__all__ = list(_HOME)

if TYPE_CHECKING:
    from intrinsic.bank import Bank as Bank
    from intrinsic.checkpoint import load as load
    from intrinsic.checkpoint import save as save
    from intrinsic.errors import UserError as UserError
    from intrinsic.peft.export_peft import export_peft as export_peft
    from intrinsic.peft.load_peft import load_peft as load_peft
    from intrinsic.projections.dense import Dense as Dense
    from intrinsic.projections.fastfood import Fastfood as Fastfood
    from intrinsic.projections.identity import Identity as Identity
    from intrinsic.projections.kronecker import Kronecker as Kronecker
    from intrinsic.projections.onehot import OneHot as OneHot
    from intrinsic.projections.sparse import Sparse as Sparse
    from intrinsic.quantization import quantize as quantize
    from intrinsic.spaces.adapter import Adapter as Adapter
    from intrinsic.spaces.bitfit import BitFit as BitFit
    from intrinsic.spaces.full import Full as Full
    from intrinsic.spaces.head import Head as Head
    from intrinsic.spaces.lora import LoRA as LoRA
    from intrinsic.spaces.prefix import Prefix as Prefix
    from intrinsic.spaces.union import Union as Union
    from intrinsic.subspace import Subspace as Subspace
    from intrinsic.threshold import Threshold as Threshold
    from intrinsic.threshold import estimate_threshold as estimate_threshold
    from intrinsic.threshold import propose as propose


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import intrinsic` alone loads no torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'intrinsic' has no attribute {name!r}")
    return getattr(import_module(f"intrinsic.{_HOME[name]}"), name)
