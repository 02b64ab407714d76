"""Triton kernels on vectors in several tensors, of any floating dtypes: in the interpreter or on a GPU."""

import itertools
from importlib.util import find_spec

import pytest
import torch

if find_spec("triton") is None:
    pytest.skip("needs triton", allow_module_level=True)

from tests.intrinsic.projections.test_triton import DEVICE, HALF, KINDS, TOLERANCE, kernels

DIM, FULL_DIM = 9, 700
# more than one launch writes the places of; some empty, some of one number, some that end within a block
SIZES = [0, 1, 130, 0, 257, *[3] * 20, 0]
SIZES.append(FULL_DIM - sum(SIZES))
SINGLE, DOUBLE = torch.float32, torch.float64
mixtures = pytest.mark.parametrize(
    "dtypes",
    [
        pytest.param((SINGLE,), marks=pytest.mark.nightly, id="one"),  # by day among all
        pytest.param((torch.bfloat16,), marks=pytest.mark.nightly, id="half"),
        pytest.param((SINGLE, torch.float16, DOUBLE, torch.bfloat16), id="all"),
    ],
)


def cut(dtypes):
    generator = torch.Generator().manual_seed(0)
    turns = zip(SIZES, itertools.cycle(dtypes), strict=False)
    pieces = [torch.randn(size, dtype=DOUBLE, generator=generator).to(dtype).to(DEVICE) for size, dtype in turns]
    return pieces, torch.cat([piece.double() for piece in pieces])


def close(found, expected, tolerance):
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@mixtures
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_are_read_where_they_lie_and_weights_rounded_once(kind, dtypes):
    projection = kind(DIM, FULL_DIM, seed=3).to(DEVICE)
    pieces, whole = cut(dtypes)
    z = torch.linspace(-1, 1, DIM, dtype=DOUBLE, device=DEVICE)
    expected, adjoint = whole + projection.matvec(z), projection.rmatvec(whole)
    for dtype in (SINGLE, DOUBLE):
        out, sums = whole.new_full((FULL_DIM,), torch.nan, dtype=dtype), z.new_full((DIM,), torch.nan, dtype=dtype)
        kernels(kind).matvec_pieces(projection, z.to(dtype), pieces, out)
        kernels(kind).rmatvec_pieces(projection, pieces, sums)
        close(out, expected, TOLERANCE[dtype])
        close(sums, adjoint, TOLERANCE[dtype])
    for half, rounding in HALF.items():
        out = whole.new_full((FULL_DIM,), torch.nan, dtype=half)
        kernels(kind).matvec_pieces(projection, z.float(), pieces, out)
        close(out.double(), expected, rounding)


def test_tables_are_kept_by_their_addresses():
    from intrinsic.projections.kernels import pieces_cuda

    like, found = torch.zeros((), device=DEVICE), []
    for _ in range(2):
        tensors = [torch.zeros(n, device=DEVICE) for n in (2, 3)]
        found.append((pieces_cuda.pieces(tensors, like), tensors))
    (one, tensors), (other, _) = found
    assert one.pointer.tolist() == [0, tensors[0].data_ptr(), 2 << 2, tensors[1].data_ptr(), 5 << 2, 0]
    assert pieces_cuda.pieces(tensors, like).pointer is one.pointer
    assert other.pointer is not one.pointer
    for _ in range(pieces_cuda._KEPT):
        found.append([torch.zeros(n, device=DEVICE) for n in (2, 3)])
        pieces_cuda.pieces(found[-1], like)
    assert len(pieces_cuda._TABLES) == pieces_cuda._KEPT
