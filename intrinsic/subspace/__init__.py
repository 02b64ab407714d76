"""theta = theta_0 + P z around any module."""

from intrinsic.subspace.subspace import Subspace as Subspace
