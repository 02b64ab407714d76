"""Sizes that no machine has end in one line before anything is allocated."""

import pytest
import torch

from intrinsic.data.toy import toy
from intrinsic.data.transforms import Transforms
from intrinsic.errors import UserError
from intrinsic.models.mlp import MLP
from intrinsic.models.sums import Sums
from intrinsic.models.vit import ViT

IMAGES = (1, 8, 8), 10
VIT = {"patch": 4, "width": 8, "depth": 1, "heads": 2, "dropout": 0.0}
NEEDS = r" needs .* GB, .* GB of memory are free: use a smaller one"


@pytest.mark.parametrize("size", [10**7, 10**12, 2**63, 10**400])
def test_sizes_beyond_memory(size):
    for make, match in [
        (lambda: MLP(*IMAGES, depth=2, width=size, dropout=0), r"MLP of depth=2, width=1?\d+" + NEEDS),
        (lambda: ViT(*IMAGES, **VIT | {"width": size * 2}), r"ViT of depth=1, width=\d+" + NEEDS),
        (lambda: Sums((1,), 10, full_dim=size * 10**4), r"Sums of full_dim=\d+" + NEEDS),
        (lambda: toy(steps=size * 10**4), r"toy of steps=\d+" + NEEDS),
    ]:
        with pytest.raises(UserError, match=match) as caught:
            make()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("depth", [10_001, 10**6])
def test_layers_without_end(depth):
    with pytest.raises(UserError, match=f"MLP: need depth <= 10000, got depth={depth}"):
        MLP(*IMAGES, depth=depth, width=1, dropout=0)
    with pytest.raises(UserError, match=f"ViT: need depth <= 10000, got depth={depth}"):
        ViT(*IMAGES, **VIT | {"depth": depth, "width": 2})


def test_what_is_checked_is_what_is_allocated(monkeypatch):
    """The bytes that are asked for are those of the weights, or a few less."""
    for module, make in [
        ("mlp", lambda: MLP(*IMAGES, depth=3, width=20, dropout=0)),
        ("vit", lambda: ViT(*IMAGES, **VIT | {"depth": 3, "width": 32})),
        ("sums", lambda: Sums((1,), 10, full_dim=1000)),
    ]:
        asked = []
        with monkeypatch.context() as patch:
            patch.setattr(
                f"intrinsic.models.{module}.check_memory", lambda nbytes, _, asked=asked: asked.append(nbytes)
            )
            there = 4 * sum(parameter.numel() for parameter in make().parameters())
        assert asked[0] == pytest.approx(there, rel=0.05)  # embeddings of patches and the biases of a head
        assert isinstance(make(), torch.nn.Module)


@pytest.mark.parametrize("rotate", [10**400, -(10**400), float("inf"), float("nan")])
def test_a_rotation_that_is_no_number(rotate):
    with pytest.raises(UserError, match="need rotate as a finite number of degrees, got rotate="):
        Transforms(rotate=rotate, shuffle_pixels=False, shuffle_labels=False, fraction=1, seed=0)
