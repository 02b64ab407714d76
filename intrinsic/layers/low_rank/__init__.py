"""Layers with a low-rank update beside their weight, one file for each kind of layer."""

from intrinsic.layers.low_rank.base import LowRank as LowRank
from intrinsic.layers.low_rank.experts import expert_names as expert_names
from intrinsic.layers.low_rank.inner import inner_kinds as inner_kinds
from intrinsic.layers.low_rank.kinds import LAYERS as LAYERS
from intrinsic.layers.low_rank.kinds import kinds as kinds
from intrinsic.layers.low_rank.parts import part_names as part_names
from intrinsic.layers.low_rank.shared import shared_kinds as shared_kinds
from intrinsic.layers.low_rank.wrap import inner_low_rank as inner_low_rank
from intrinsic.layers.low_rank.wrap import low_rank as low_rank
from intrinsic.layers.low_rank.wrap import low_rank_experts as low_rank_experts
from intrinsic.layers.low_rank.wrap import low_rank_parts as low_rank_parts
from intrinsic.layers.low_rank.wrap import shared_low_rank as shared_low_rank
