"""The cosine transform against scipy's and its formula; its coefficients of matrices, vectors and kernels."""

import math

import numpy as np
import pytest
import scipy.fft
import torch
from torch import nn

import intrinsic
from intrinsic.projections.cosine_transform import _forward, _inverse, cosine_transform
from intrinsic.projections.granularity import draw


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9, 100, 101])
def test_torch_and_scipy_agree(count):
    x = torch.linspace(-1, 2, 3 * count, dtype=torch.float64).sin().view(3, count)
    expected = torch.from_numpy(scipy.fft.dct(x.numpy(), norm="ortho"))
    torch.testing.assert_close(_forward(x), expected)
    torch.testing.assert_close(_inverse(expected), x)
    single = cosine_transform(x.float()[:, None])[:, 0]
    torch.testing.assert_close(single.double(), expected, rtol=1e-5, atol=1e-6)
    traced = torch.vmap(lambda x: cosine_transform(x, inverse=True))(expected[:, None])
    torch.testing.assert_close(traced[:, 0], x)


def cosines(count):
    k, i = np.indices((count, count))
    return np.sqrt((2 - (k == 0)) / count) * np.cos(np.pi * k * (2 * i + 1) / (2 * count))


def test_it_is_the_formula():
    """C_m^T S C_n in each matrix; a convolution's kernels are one matrix, a bias is one row."""
    shapes = [(4, 3), (4,), (2, 3, 2, 1)]
    P = intrinsic.DCT(9, 28, seed=1, shapes=shapes)
    z = torch.linspace(1, 2, 9, dtype=torch.float64)
    S = np.zeros(28)
    S[P.index.numpy()] = z.numpy()
    pieces = [S[:12].reshape(4, 3), S[12:16].reshape(1, 4), S[16:].reshape(2, 6)]
    expected = [cosines(len(piece)).T @ piece @ cosines(piece.shape[1]) for piece in pieces]
    np.testing.assert_allclose(P(z).numpy(), np.concatenate([piece.ravel() for piece in expected]), atol=1e-12)


SHAPES = [
    [(1, 1)], [(7, 1)], [(1, 65)], [(2, 3)], [(13, 31)], [(143, 37)], [(64, 40), (40,)], [(9, 200)], [(200, 9)],
    [(103, 50)], [(36, 70), (70,), (0, 5), (121, 4, 3)],
]  # fmt: skip


@pytest.mark.parametrize("share", [0.01, 0.3, 1])
@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kernels_are_the_formula(shapes, share, dtype):
    """Where they are slower than scipy, and not chosen, too; with the weights in pieces as they are in a model."""
    full_dim = sum(map(math.prod, shapes))
    P = intrinsic.DCT(max(1, round(share * full_dim)), full_dim, seed=2, shapes=shapes)
    P.kernels = True
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(P.dim, generator=generator, dtype=dtype)
    pieces = [
        torch.randn(shape, generator=generator).to(torch.bfloat16 if len(shape) == 1 else dtype) for shape in shapes
    ]
    S, g = np.zeros(full_dim), np.concatenate([piece.double().numpy().ravel() for piece in pieces])
    S[P.index.numpy()] = z.numpy()
    offset, coefficients, start = np.zeros(full_dim), np.zeros(full_dim), 0
    for rows, columns in P.shapes:
        part, matrix = slice(start, start := start + rows * columns), (rows, columns)
        offset[part] = (cosines(rows).T @ S[part].reshape(matrix) @ cosines(columns)).ravel()
        coefficients[part] = (cosines(rows) @ g[part].reshape(matrix) @ cosines(columns).T).ravel()
    out = torch.empty(full_dim, dtype=dtype)
    P.displace_pieces(z, pieces, out)
    assert P.selected_kernels(z) is not None
    found = [(out, g + offset), (P(z), offset), (P.multiply_pieces(pieces), coefficients[P.index.numpy()])]
    for result, expected in found:
        tolerance = {torch.float32: 1e-5, torch.float64: 1e-13}[result.dtype]  # sums of as many terms, rounded
        assert np.abs(result.double().numpy() - expected).max() <= tolerance * np.abs(expected).max()


def test_few_coefficients_take_kernels():
    chosen = {dim: intrinsic.DCT(dim, 156_800, seed=0, shapes=[(200, 784)]).kernels for dim in (600, 100_000)}
    assert chosen == {600: True, 100_000: False}
    assert not intrinsic.DCT(1000, 10_007, seed=0).kernels  # a row of a prime number


def test_shapes_are_the_models():
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 2))
    net = intrinsic.Subspace(model, projection=intrinsic.DCT, dim=7)
    assert net.projection.shapes == [(5, 6), (1, 5), (2, 5), (1, 2)]
    parts = draw(intrinsic.DCT, 8, [30, 5, 10, 2], granularity="block", seed=0, shapes=net.coordinate_shapes).parts
    assert [part.shapes for part in parts] == [[(5, 6)], [(1, 5)], [(2, 5)], [(1, 2)]]


def test_another_shape_is_another_p():
    one, other = (intrinsic.DCT(3, 12, seed=0, shapes=[shape]).fingerprint() for shape in ((3, 4), (4, 3)))
    assert one != other
    with pytest.raises(ValueError, match="need shapes of 12 numbers"):
        intrinsic.DCT(3, 12, seed=0, shapes=[(3, 3)])
