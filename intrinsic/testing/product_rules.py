"""The rules of a projection's products: each is a function of what makes one, make(dim, full_dim, seed=...)."""

import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from intrinsic.projections.base import Projection
from intrinsic.projections.block_diagonal import BlockDiagonal
from intrinsic.projections.identity import Identity
from intrinsic.projections.stacked import Stacked
from intrinsic.testing.contract_error import expect, expect_close
from intrinsic.testing.projection_draws import SIZES, Make, columns, each, fitting, matrix

TENSORS = [100, 10, 300, 5]  # the weights of a model, tensor by tensor


def adjoint(make: Make) -> None:
    """The gradient of P z, and `adjoint`, are products with the transpose of P, whose columns are those of `P e_j`."""
    for projection in each(make):
        v = torch.linspace(-1, 1, projection.full_dim, dtype=torch.float64)
        z = torch.ones(projection.dim, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(projection(z) @ v, z)
        expected = columns(projection) @ v
        for found, what in ((gradient, "the gradient"), (projection.adjoint(v), "adjoint(v)")):
            expect_close(found, expected, projection, "the adjoint of P is its transpose", what, atol=1e-7)


def derivatives(make: Make) -> None:
    """Gradients of any order, forwards and backwards, are those of a linear map."""
    for projection in each(make, most=30):
        z = torch.linspace(-1, 1, projection.dim, dtype=torch.float64, requires_grad=True)
        fast = projection.full_dim > 10  # along random directions, not entry by entry

        def curved(z: Tensor, P: Projection = projection) -> Tensor:
            return P(z).sin()

        first = gradcheck(curved, z, raise_exception=False, check_forward_ad=True, fast_mode=fast)
        second = gradgradcheck(curved, z, raise_exception=False, fast_mode=fast)
        found = f"first derivatives are right: {first}, second ones: {second}"
        expect(first and second, projection, "P z can be derived to any order", found)


def unit_columns(make: Make) -> None:
    """Columns have norm 1: each to rounding where the class says `unit_columns`, else squared, in expectation."""
    for projection in each(make):
        norms = matrix(projection).norm(dim=0)
        if projection.unit_columns:  # entries are rounded to float32
            rule = "every column of P has norm 1 (unit_columns = True)"
            found = f"norms lie in [{norms.min():.6g}, {norms.max():.6g}]"
            expect(bool(((norms - 1).abs() <= 1e-6).all()), projection, rule, found)
            continue
        sizes = projection.dim, projection.full_dim
        means = torch.stack([matrix(make(*sizes, seed=seed)).square().sum(0).mean() for seed in range(20)])
        # five standard errors of the mean over draws; fastfood's cut last block varies by less than 0.1
        slack = max(0.1, 5 * float(means.std()) / 20**0.5)
        found = f"their mean over 20 draws is {means.mean():.4g}, need 1 within {slack:.2g}"
        expect(bool((means.mean() - 1).abs() < slack), projection, "columns of P have squared norm 1 on average", found)


def replicas(make: Make) -> None:
    """Leading axes of z and g are replicas, and so is the axis of `torch.vmap`."""
    for projection in each(make):
        d, D, P = projection.dim, projection.full_dim, columns(projection)
        z = torch.linspace(-1, 1, 6 * d, dtype=torch.float64).view(2, 3, d)
        g = torch.linspace(-1, 1, 6 * D, dtype=torch.float64).view(2, 3, D)
        rule = "leading axes are replicas of a product with P"
        expect_close(projection(z), z @ P, projection, rule, "P z", atol=1e-7)
        expect_close(projection.adjoint(g), g @ P.T, projection, rule, "adjoint(g)", atol=1e-7)
        found = torch.vmap(projection, in_dims=1)(z)
        expect_close(found, (z @ P).movedim(1, 0), projection, rule, "P z under vmap", atol=1e-7)


def precision(make: Make) -> None:
    """Products of float32 are of float32, and those of float64 up to its rounding."""
    for projection in each(make):
        z, g = torch.linspace(-1, 1, projection.dim), torch.linspace(-1, 1, projection.full_dim)
        for product, x, atol, what in ((projection, z, 1e-5, "P z"), (projection.adjoint, g, 1e-4, "adjoint(g)")):
            found, rule = product(x), "products of float32 are of float32, up to rounding those of float64"
            expect(found.dtype == torch.float32, projection, rule, f"{what} has {found.dtype}")
            expect_close(found, product(x.double()), projection, rule, what, atol=atol)


def independent_columns(make: Make) -> None:
    """No coordinate is lost: P has rank dim."""
    projection = make(*fitting(make, SIZES[-1]), seed=0)
    if not isinstance(projection, Identity):
        rank = int(torch.linalg.matrix_rank(matrix(projection)))
        expect(rank == projection.dim, projection, "columns of P are independent", f"its rank is {rank}")


def rows(make: Make) -> None:
    """`multiply_rows` of the pieces of g sums to P^T g, as `stream` has it."""
    size = fitting(make)
    projection = make(*size, seed=0)
    g, total = torch.linspace(-1, 1, size[1], dtype=torch.float64), torch.zeros(size[0], dtype=torch.float64)
    for low in range(0, size[1], 100):
        total += projection.multiply_rows(g[low : low + 100], low)
    rule = "multiply_rows of all pieces sums to P^T g"
    expect_close(total, columns(projection) @ g, projection, rule, "the sum", atol=1e-7)


def granularity(make: Make) -> None:
    """One P for each tensor works: over the same z, on average with unit columns in each, and over a share of z."""
    if isinstance(make(1, 1, seed=0), Identity):
        return
    g = torch.linspace(-1, 1, sum(TENSORS), dtype=torch.float64)
    for wrapper, name in ((Stacked, "tensor"), (BlockDiagonal, "block")):
        draws = [wrapper(make, 20, TENSORS, seed=seed) for seed in range(50 if wrapper is Stacked else 2)]
        P, rule = matrix(draws[0]), f"granularity={name} works"
        expect_close(draws[0].adjoint(g), P.T @ g, draws[0], rule, "adjoint(g)", atol=1e-7)
        another = draws[0].fingerprint() != draws[1].fingerprint()
        expect(another, draws[0], rule, "another seed has the same fingerprint")
        if wrapper is BlockDiagonal:
            moved = torch.stack([piece.abs().sum(0) > 0 for piece in P.split(TENSORS)])
            shares = moved.sum(1).tolist()
            kept = bool((moved.sum(0) == 1).all()) and shares == [5] * 4
            expect(kept, draws[0], rule, f"tensors are moved by {shares} coordinates, need a share of 5 each")
        else:
            first, *_, last = P.split(TENSORS)
            expect(not first[: len(last)].equal(last), draws[0], rule, "two tensors have the same rows of P")
            norms = [[piece.square().sum(0).mean() for piece in matrix(each).split(TENSORS)] for each in draws]
            means = torch.tensor(norms).mean(0)
            # 5 deviations of a mean over 50 draws of the smallest tensor, whose squared norms vary by about a half
            found = f"mean squared norms of columns in each tensor are {[round(mean, 3) for mean in means.tolist()]}"
            expect(bool(((means - 1).abs() <= 5 * 0.5 / 50**0.5).all()), draws[0], rule, f"{found}, need 1")
