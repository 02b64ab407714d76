"""Trainable parameters that a network needs to learn a task: random subspaces and LoRA on one axis."""

from typing import TYPE_CHECKING, Any

from intrinsic.public import HOME, public

__all__ = list(HOME)

if TYPE_CHECKING:
    from intrinsic.errors import UserError as UserError
    from intrinsic.layers.int8 import quantize as quantize
    from intrinsic.peft.export_peft import export_peft as export_peft
    from intrinsic.peft.load_peft import load_peft as load_peft
    from intrinsic.projections.dct import DCT as DCT
    from intrinsic.projections.dense import Dense as Dense
    from intrinsic.projections.fastfood import Fastfood as Fastfood
    from intrinsic.projections.identity import Identity as Identity
    from intrinsic.projections.kronecker import Kronecker as Kronecker
    from intrinsic.projections.kronecker_sum import KroneckerSum as KroneckerSum
    from intrinsic.projections.onehot import OneHot as OneHot
    from intrinsic.projections.select import Select as Select
    from intrinsic.projections.sparse import Sparse as Sparse
    from intrinsic.projections.trajectory import Trajectory as Trajectory
    from intrinsic.serving.bank import Bank as Bank
    from intrinsic.spaces.adapter import Adapter as Adapter
    from intrinsic.spaces.bitfit import BitFit as BitFit
    from intrinsic.spaces.full import Full as Full
    from intrinsic.spaces.head import Head as Head
    from intrinsic.spaces.ia3 import IA3 as IA3
    from intrinsic.spaces.lora import LoRA as LoRA
    from intrinsic.spaces.lora_xs import LoRAXS as LoRAXS
    from intrinsic.spaces.norms import Norms as Norms
    from intrinsic.spaces.prefix import Prefix as Prefix
    from intrinsic.spaces.prompt import Prompt as Prompt
    from intrinsic.spaces.union import Union as Union
    from intrinsic.spaces.vera import VeRA as VeRA
    from intrinsic.subspace import Subspace as Subspace
    from intrinsic.subspace.checkpoint import load as load
    from intrinsic.subspace.checkpoint import save as save
    from intrinsic.subspace.redrawn import Redrawn as Redrawn
    from intrinsic.threshold import Comparison as Comparison
    from intrinsic.threshold import Threshold as Threshold
    from intrinsic.threshold import compare_thresholds as compare_thresholds
    from intrinsic.threshold import estimate_threshold as estimate_threshold
    from intrinsic.threshold import propose as propose
    from intrinsic.training.optimizer_step import optimizer_step as optimizer_step
    from intrinsic.training.optimizer_step import zero_grad as zero_grad


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import intrinsic` alone loads no torch."""
    if name not in HOME:
        raise AttributeError(f"module 'intrinsic' has no attribute {name!r}")
    return public(name)
