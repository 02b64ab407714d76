"""P^T g and theta_0 + P z where g and theta_0 lie in several tensors, of any shapes and dtypes."""

import numpy as np
import pytest
import torch

from intrinsic.projections.block_diagonal import BlockDiagonal
from tests.support.projections import RANDOM, make

SHAPES = [(), (0,), (7, 30), (2, 0), (300,), (5, 5, 5), (64, 97), (1,)]  # some end within a stretch, none fills one
DIM, FULL_DIM = 100, sum(int(np.prod(shape)) for shape in SHAPES)
# sums of up to FULL_DIM terms in another order; sums rounded once
CLOSE = {torch.float32: 1e-4, torch.float64: 1e-12, torch.float16: 2e-3, torch.bfloat16: 2e-2}


@pytest.fixture(params=["auto", "torch"], autouse=True)
def kernels(request, monkeypatch):
    monkeypatch.setenv("INTRINSIC_KERNELS", request.param)


def cut(*dtypes):
    """Tensors of these shapes, their dtypes in turn; one of them not contiguous."""
    generator = torch.Generator().manual_seed(0)
    made = [
        torch.randn(shape, generator=generator).to(dtypes[k % len(dtypes)]).requires_grad_()
        for k, shape in enumerate(SHAPES)
    ]
    made[6] = made[6].detach().T.contiguous().T
    return made, torch.cat([piece.detach().reshape(-1).double() for piece in made])


DTYPES = [(torch.float32,), (torch.float64,), (torch.bfloat16,), (torch.float32, torch.float16, torch.float64)]


@pytest.mark.parametrize("dtypes", DTYPES, ids=len)
@pytest.mark.parametrize("name", RANDOM)
def test_a_gradient_in_pieces_is_the_whole_one(name, dtypes):
    projection = make(name, DIM, FULL_DIM, seed=3)
    tensors, g = cut(*dtypes)
    expected = projection.rmatvec(g)
    for out in (None, torch.full((DIM,), torch.nan), torch.full((DIM,), torch.nan, dtype=torch.float64)):
        found = projection.multiply_pieces(tensors, out=out)
        assert found is out or found.dtype == (torch.float64 if torch.float64 in dtypes else torch.float32)
        torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("dtypes", DTYPES[:3], ids=len)
@pytest.mark.parametrize("name", RANDOM)
def test_an_origin_in_pieces_is_the_whole_one(name, dtypes):
    projection = make(name, DIM, FULL_DIM, seed=3)
    tensors, origin = cut(*dtypes)
    z = torch.randn(DIM, dtype=torch.promote_types(dtypes[0], torch.float32), requires_grad=True)
    out, whole = (torch.full((FULL_DIM,), torch.nan, dtype=dtypes[0]) for _ in range(2))
    version = out._version
    projection.displace_pieces(z, tensors, out)
    assert out._version > version
    tolerance = CLOSE[dtypes[0]]
    expected = origin + projection.matvec(z.detach().double())
    torch.testing.assert_close(out.double(), expected, atol=tolerance, rtol=tolerance)
    projection.displace(z, origin.to(dtypes[0]), whole)
    assert torch.equal(out, whole)


def test_a_projection_of_parts_takes_pieces_too():
    projection = BlockDiagonal(lambda *size, seed: make("onehot", *size, seed=seed), 10, [335, FULL_DIM - 335], seed=0)
    tensors, g = cut(torch.float32)
    torch.testing.assert_close(projection.multiply_pieces(tensors).double(), projection.rmatvec(g), atol=1e-4, rtol=0)


def test_other_lengths_are_refused():
    projection = make("onehot", DIM, FULL_DIM, seed=3)
    with pytest.raises(ValueError, match=rf"need {FULL_DIM} numbers, got shapes \[\(3, 2\)\]"):
        projection.multiply_pieces([torch.ones(3, 2)])
    with pytest.raises(ValueError, match=rf"need {FULL_DIM} numbers, got shapes \[\(9,\), \(\)\]"):
        projection.displace_pieces(torch.ones(DIM), [torch.ones(9), torch.ones(())], torch.ones(FULL_DIM))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_are_read_and_rounded_as_torch_does_it(dtype):
    single = make("onehot", 1 << 14, 1 << 14, seed=0)  # each number is a group of its own: P^T g has those of g
    every = torch.arange(1 << 16, dtype=torch.int32).to(torch.uint16).view(dtype)
    for part in every.split(1 << 14):
        found, expected = single.multiply_pieces([part]), single.rmatvec(part.float())
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    bits = torch.randint(1 << 32, (8, FULL_DIM), generator=torch.Generator().manual_seed(0))
    bits[4:6] = bits[4:6] >> 16 << 16 | 1 << 15  # half-way between two bfloat16
    bits[6:] = bits[6:] >> 13 << 13 | 1 << 12  # and two float16
    bits[7] = bits[7] & 0x9FFFFFFF | 0x30000000  # numbers that float16 holds, the smallest ones too
    for row in bits.to(torch.uint32).view(torch.float32):
        found = torch.empty(FULL_DIM, dtype=dtype)
        make("onehot", DIM, FULL_DIM).displace(torch.zeros(DIM), row, found)
        torch.testing.assert_close(found, row.to(dtype), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("ends", [(30_000,), tuple(range(299, 40_000, 311))], ids=["few", "many"])
@pytest.mark.parametrize("name", RANDOM)
def test_pieces_that_end_within_rows_change_no_bit(name, ends):
    """A kernel that goes by rows, blocks or bands of its own, some of which lie in several pieces; in place, too."""
    size = 40_009
    projection = make(name, 50, size, seed=3)
    generator = torch.Generator().manual_seed(0)
    whole, z = torch.randn(size, generator=generator), torch.randn(projection.dim, generator=generator)
    pieces = [piece.clone() for piece in whole.tensor_split(ends)]
    out, other = torch.full_like(whole, torch.nan), torch.full_like(whole, torch.nan)
    projection.displace_pieces(z, pieces, out)
    projection.displace(z, whole, other)
    assert torch.equal(out, other)
    assert torch.equal(projection.multiply_pieces(pieces), projection.multiply_pieces([whole]))
    projection.displace(z, whole, whole)
    assert torch.equal(whole, out)
