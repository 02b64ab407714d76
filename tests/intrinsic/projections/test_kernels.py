"""Compiled kernels against plain torch: the same P, forward and adjoint, at awkward sizes and thread counts."""

import os
import subprocess
import sys

import pytest
import torch

import intrinsic
from intrinsic.projections import dense
from intrinsic.projections.kernels import select

KINDS = [
    intrinsic.Dense, intrinsic.Sparse, intrinsic.Fastfood, intrinsic.KroneckerSum, intrinsic.Kronecker,
    intrinsic.OneHot, intrinsic.DCT,
]  # fmt: skip
# one coordinate, as many as weights, a cut last block, several tiles and chunks, many blocks to a tile
SIZES = [
    (1, 1),
    (1, 7),
    (1, 777),
    (2, 1001),
    (5, 5),
    (9, 31),
    (14, 2077),
    (30, 333),
    (64, 4096),
    (100, 4099),
    (257, 70_001),
]
LONG = (66_000, 70_000)  # a block of more than 2**16
WIDE = (33_000, 34_000)  # columns of Sparse that take 32 bits with their sign; by night as many as of the others
CASES = [
    *(pytest.param(kind, *size) for kind in KINDS for size in SIZES),
    pytest.param(intrinsic.Fastfood, *LONG, marks=pytest.mark.nightly),
    *(pytest.param(kind, *LONG, marks=pytest.mark.slow) for kind in KINDS[4:]),
    pytest.param(intrinsic.Sparse, *WIDE, marks=pytest.mark.slow),
    pytest.param(intrinsic.Sparse, *LONG, marks=pytest.mark.nightly),
]
cases = pytest.mark.parametrize(("kind", "dim", "full_dim"), CASES)
both = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
# against the largest entry: sums of up to full_dim terms in another order
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-13}


def vectors(dim, full_dim, dtype):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, dtype=dtype, generator=generator) for n in (dim, full_dim, full_dim)]


def close(found, expected):
    assert (found - expected).abs().max() <= TOLERANCE[found.dtype] * expected.abs().max()


@both
@cases
def test_kernels_agree_with_plain_torch(kind, dim, full_dim, dtype):
    if (dim, full_dim, dtype) == (*LONG, torch.float64) and kind is intrinsic.Fastfood:
        pytest.skip("a compilation of its own, which differs from float32's in nothing but the type")
    projection = kind(dim, full_dim, seed=3)
    z, g, origin = vectors(dim, full_dim, dtype)
    kernel = select.select(kind, z)
    assert kernel.__name__ == f"{kind.__module__.replace('.projections.', '.projections.kernels.')}_cpu"
    close(projection.multiply(z), projection.matvec(z))
    close(projection.multiply(g, transposed=True), projection.rmatvec(g))
    out = torch.full_like(origin, torch.nan)
    projection.displace(z, origin, out)
    close(out, origin + projection.matvec(z))


@cases
def test_the_bits_of_a_product_do_not_depend_on_threads(kind, dim, full_dim):
    projection = kind(dim, full_dim, seed=3)
    z, g, _ = vectors(dim, full_dim, torch.float32)
    found, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append((projection(z), projection.adjoint(g)))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dim", "full_dim"),
    [pytest.param(*size, marks=pytest.mark.nightly if size[1] > 10_000 else ()) for size in SIZES],
)
def test_signs_that_are_not_stored_are_the_same(dim, full_dim, monkeypatch):
    stored = intrinsic.Dense(dim, full_dim, seed=3)
    monkeypatch.setattr(dense, "STORED", 0)
    monkeypatch.setattr(dense, "_TILE", 1 << 18)  # plain torch unpacks the larger ones in several tiles
    drawn = intrinsic.Dense(dim, full_dim, seed=3)
    assert (drawn.nbytes, drawn.fixed_tensors()) == (0, {})
    assert drawn.fingerprint() == stored.fingerprint(bits=False)
    z, g, _ = vectors(dim, full_dim, torch.float64)
    for forward, adjoint in ((drawn.matvec, drawn.rmatvec), (drawn.forward, drawn.adjoint)):
        close(forward(z), stored(z))
        close(adjoint(g), stored.adjoint(g))


@pytest.mark.nightly
@pytest.mark.parametrize("processor", ["generic", "emulated"])
def test_other_processors(processor, tmp_path):
    """Compiled in a process of its own: float32 sums under masks, and by the lookups of AVX-512."""
    emulated = processor == "emulated"
    code = f"""
import torch
{"import tests.support.emulated_avx512" if emulated else ""}
import intrinsic
from intrinsic.projections.kernels import lookup, select
assert lookup.AVAILABLE == {emulated}
torch.manual_seed(0)
for dim, full_dim in ((1, 7), (100, 4099)):
    projection, z, g = intrinsic.Dense(dim, full_dim, seed=3), torch.randn(dim), torch.randn(full_dim)
    assert select.select(intrinsic.Dense, z) is not None
    torch.testing.assert_close(projection(z), projection.matvec(z), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(projection.adjoint(g), projection.rmatvec(g), rtol=1e-5, atol=1e-5)
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)} | ({} if emulated else {"NUMBA_CPU_NAME": "generic"})
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_finite_stays_so(kind):
    projection = kind(30, 333, seed=3)
    z, g = torch.full((30,), torch.nan), torch.full((333,), torch.inf)
    assert not projection(z).isfinite().any() if kind is not intrinsic.Sparse else projection(z).isnan().any()
    assert not projection.adjoint(g).isfinite().any()


def test_plain_torch_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("INTRINSIC_KERNELS", "torch")
    assert select.select(intrinsic.OneHot, torch.ones(3)) is None
    monkeypatch.setenv("INTRINSIC_KERNELS", "fast")
    with pytest.raises(intrinsic.UserError, match="need INTRINSIC_KERNELS=auto or torch, got INTRINSIC_KERNELS=fast"):
        intrinsic.OneHot(3, 10, seed=0)(torch.ones(3))


def test_tracers_see_plain_torch():
    seen = []
    torch.vmap(lambda x: seen.append(select.select(intrinsic.OneHot, x)) or x)(torch.ones(2, 3))
    assert seen == [None]
    assert select.select(intrinsic.OneHot, torch.ones(3, dtype=torch.int64)) is None
    assert select.select(torch.nn.Linear, torch.ones(3)) is None  # no kernels stand beside that class


@pytest.mark.slow
def test_kernels_leave_torch_its_number_of_threads():
    code = """
import torch, intrinsic
torch.set_num_threads(1)
intrinsic.OneHot(3, 10, seed=0)(torch.ones(3))
print(torch.get_num_threads())
"""
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "1\n"
