"""Triton kernels against plain torch: on a GPU where there is one, else in Triton's interpreter."""

import os
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch

import intrinsic
from intrinsic.projections.kernels import prove as prove_module
from intrinsic.projections.kernels import select
from intrinsic.projections.kernels.prove import prove

GPU = torch.cuda.is_available()
if find_spec("triton") is None or not (GPU or os.environ.get("TRITON_INTERPRET") == "1"):
    pytest.skip("needs triton, and a GPU or TRITON_INTERPRET=1", allow_module_level=True)

DEVICE = "cuda" if GPU else "cpu"
KINDS = [intrinsic.Dense, intrinsic.Sparse, intrinsic.Fastfood, intrinsic.Kronecker, intrinsic.OneHot]
# one coordinate, as many as weights, a cut last block, several tiles; on a GPU, also what takes the interpreter long
SIZES = [(1, 1), (1, 7), (5, 5), (9, 31), (30, 333), (33, 1030), (64, 2048)]
LARGER = [(100, 4099), (257, 7001), (700, 900)]
ON_GPU = [(257, 70_001), (5000, 70_001), (9000, 1_000_003)]
CASES = [(kind, *size) for kind in KINDS for size in SIZES + (ON_GPU if GPU else [])]
CASES += [(kind, *size) for kind in KINDS for size in LARGER if GPU or kind is not intrinsic.Dense]
cases = pytest.mark.parametrize(("kind", "dim", "full_dim"), CASES)
both = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
# against the largest entry: sums of up to full_dim terms in another order
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-13}
# rounding once moves a number by at most so much of itself; the interpreter cuts a bfloat16 off instead
HALF = {torch.bfloat16: 2**-8 if GPU else 2**-7, torch.float16: 2**-11}


def kernels(kind):
    return import_module(f"{kind.__module__.replace('.projections.', '.projections.kernels.')}_cuda")


def vectors(dim, full_dim, dtype):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, dtype=dtype, generator=generator).to(DEVICE) for n in (dim, full_dim, full_dim)]


def close(found, expected):
    assert (found - expected).abs().max() <= TOLERANCE[found.dtype] * expected.abs().max()


def matvec(projection, z, origin):
    out = z.new_full((projection.full_dim,), torch.nan)
    kernels(type(projection)).matvec_pieces(projection, z, [origin] if len(origin) else [], out)
    return out


def rmatvec(projection, g):
    out = g.new_full((projection.dim,), torch.nan)
    kernels(type(projection)).rmatvec_pieces(projection, [g], out)
    return out


def compare(projection, dtype):
    z, g, origin = vectors(projection.dim, projection.full_dim, dtype)
    expected = projection.matvec(z)
    close(matvec(projection, z, z[:0]), expected)
    close(matvec(projection, z, origin), origin + expected)
    inside = origin.clone()
    kernels(type(projection)).matvec_pieces(projection, z, [inside], inside)  # the origin's own place
    close(inside, origin + expected)
    close(rmatvec(projection, g), projection.rmatvec(g))


@both
@cases
def test_kernels_agree_with_plain_torch(kind, dim, full_dim, dtype):
    compare(kind(dim, full_dim, seed=3).to(DEVICE), dtype)


@both
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not intrinsic.Sparse])
def test_a_program_takes_several_steps(kind, dtype, monkeypatch):
    if kind is intrinsic.Fastfood:
        monkeypatch.setattr(kernels(kind), "_SCRATCH", 1 << 12)
    else:
        monkeypatch.setattr(kernels(kind), "_PROGRAMS", 2)
    compare(kind(5, 3001 if kind is intrinsic.Dense else 20_011, seed=3).to(DEVICE), dtype)


@both
def test_a_block_that_does_not_fit_is_multiplied_by_plain_torch(dtype):
    compare(intrinsic.Fastfood(17_000, 20_000, seed=3).to(DEVICE), dtype)


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**63 + 5, 2**64 - 7])
def test_signs_are_those_of_the_stream(seed):
    projection = intrinsic.Dense(3, 300, seed=seed).to(DEVICE)
    for z in torch.eye(3, device=DEVICE):
        assert torch.equal(matvec(projection, z, z[:0]) > 0, projection.matvec(z) > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_finite_stays_so(kind):
    projection = kind(30, 333, seed=3).to(DEVICE)
    for bad in (torch.nan, torch.inf):
        offset = matvec(projection, torch.full((30,), bad, device=DEVICE), torch.zeros(333, device=DEVICE))
        assert not offset.isfinite().any() if kind is not intrinsic.Sparse else not offset.isfinite().all()
        assert not rmatvec(projection, torch.full((333,), bad, device=DEVICE)).isfinite().any()


@both
@pytest.mark.parametrize("kind", [kind for kind in KINDS if GPU or kind is not intrinsic.Dense])
def test_kernels_prove_themselves_and_wrong_ones_do_not(kind, dtype, monkeypatch):
    proof = kind, kernels(kind), torch.device(DEVICE), dtype
    monkeypatch.setattr(prove_module, "_HALF", HALF)
    prove(*proof)
    right = kernels(kind).rmatvec_pieces

    def wrong(projection, tensors, out):
        right(projection, tensors, out)
        out[-1:] *= 1.001

    monkeypatch.setattr(kernels(kind), "rmatvec_pieces", wrong)
    with pytest.raises(ArithmeticError, match=r"P\^T g is wrong by .*e-0. of its largest entry"):
        prove(*proof)


@pytest.mark.skipif(not GPU, reason="needs a GPU")
@cases
def test_a_module_on_a_gpu_takes_the_kernels_and_repeats_its_bits(kind, dim, full_dim):
    projection = kind(dim, full_dim, seed=3).to("cuda")
    z, g, origin = vectors(dim, full_dim, torch.float32)
    assert select.select(kind, z).__name__ == kernels(kind).__name__
    forward, adjoint = projection(z), projection.adjoint(g)
    assert torch.equal(forward, matvec(projection, z, z[:0]))
    assert torch.equal(adjoint, rmatvec(projection, g))
    assert torch.equal(forward, projection(z))
    assert torch.equal(adjoint, projection.adjoint(g))
    out = torch.empty_like(origin)
    projection.displace(z, origin, out)
    assert torch.equal(out, matvec(projection, z, origin))
