"""origin + P z in place of the origin itself: what Flat does, which copies theta_0 and adds P z to it."""

from functools import partial

import pytest
import torch

from experiments.step.allocated_bytes import allocated_bytes
from intrinsic.projections.block_diagonal import BlockDiagonal
from intrinsic.projections.kernels.guarded_kernels import GuardedKernels
from intrinsic.projections.stacked import Stacked
from tests.support.projections import RANDOM, make, names

# a cut last block, word, row of factors and band; several tiles
SIZES = [(1, 1), (30, 333), (100, 4099)]
CASES = [(name, min(dim, D), D) for name in names("projection") for dim, D in SIZES if name != "identity"]
CASES += [("identity", 333, 333)]
# a term and a sum rounded once more, of entries of about 1 to 5
ROUNDED = {torch.float64: 1e-14, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}


@pytest.fixture(params=["auto", "torch"], autouse=True)
def kernels(request, monkeypatch):
    monkeypatch.setenv("INTRINSIC_KERNELS", request.param)


def check(projection, dtype, out_dtype):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(projection.dim, dtype=dtype, generator=generator)
    origin = torch.randn(projection.full_dim, dtype=out_dtype, generator=generator)
    expected = origin.double() + projection.matvec(z.double())
    apart, inside = torch.full_like(origin, torch.nan), origin.clone()
    projection.displace(z, origin, apart)
    version = inside._version
    projection.displace(z, inside, inside)
    assert inside._version > version
    torch.testing.assert_close(inside.double(), expected, atol=ROUNDED[out_dtype], rtol=ROUNDED[out_dtype])
    assert torch.equal(inside, apart)
    projection.displace(z, inside, inside)  # once more: nothing is kept from the call before
    expected += expected - origin.double()
    torch.testing.assert_close(inside.double(), expected, atol=2 * ROUNDED[out_dtype], rtol=2 * ROUNDED[out_dtype])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "dim", "full_dim"), CASES)
def test_an_origin_may_be_the_place_of_the_result(name, dim, full_dim, dtype):
    check(make(name, dim, full_dim, seed=3), dtype, dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", RANDOM)
def test_an_origin_in_half_precision_may_be(name, dtype):
    check(make(name, 30, 333, seed=3), torch.float32, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("wrapper", [Stacked, BlockDiagonal])
@pytest.mark.parametrize("name", RANDOM)
def test_an_origin_of_many_tensors_may_be(name, wrapper, dtype):
    check(wrapper(partial(make, name), 20, [100, 10, 333, 5], seed=1), dtype, dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_added_to_part_by_part(dtype, monkeypatch):
    """Where no kernel writes half precision, it takes little more than P z."""
    monkeypatch.setattr(GuardedKernels, "writes", lambda *_: False)
    projection = make("kronecker", 10, 2_000_000)
    z, out = torch.linspace(-1, 1, 10), torch.ones(projection.full_dim, dtype=dtype)
    expected = (out + projection(z)).to(dtype)
    alone, _ = allocated_bytes(lambda: projection.multiply(z), torch.device("cpu"))
    peak, _ = allocated_bytes(lambda: projection.displace(z, out, out), torch.device("cpu"))
    assert torch.equal(out, expected)
    assert peak < alone + projection.full_dim  # of a sixteenth torch makes copies in float32
