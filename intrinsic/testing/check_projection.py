"""The check of a projection."""

from collections.abc import Callable
from functools import partial
from typing import Any

from intrinsic.projections.base import Projection
from intrinsic.testing.contract_error import ContractError, expect
from intrinsic.testing.product_rules import (
    adjoint,
    derivatives,
    granularity,
    independent_columns,
    precision,
    replicas,
    rows,
    unit_columns,
)
from intrinsic.testing.projection_draws import Make
from intrinsic.testing.state_rules import copies, memory, seed, unfit_dims

PRODUCTS = (adjoint, derivatives, unit_columns, replicas, precision, independent_columns, rows, granularity)
RULES: dict[str, Callable[[Make], None]] = {
    rule.__name__: rule for rule in (unfit_dims, seed, memory, copies, *PRODUCTS)
}


def check_projection(projection: Callable[..., Projection], **options: Any) -> None:
    """Check that a projection keeps every one of `RULES`, at sizes of up to (100, 4099): seconds.

    What it raises itself has a note that says which rule was being checked.

    Args:
        projection: a Projection class, or a partial of one, called as projection(dim, full_dim, seed=..., **options).
        options: the class's own.

    Raises:
        ContractError: for the first rule that is broken, with the figures that show it.
    """
    kind = getattr(projection, "func", projection)
    known = isinstance(kind, type) and issubclass(kind, Projection)
    expect(known, projection, "a projection is a subclass of intrinsic.projections.base.Projection", "it is none")
    make = partial(projection, **options)
    for name, rule in RULES.items():
        try:
            rule(make)
        except ContractError:
            raise
        except Exception as error:
            error.add_note(f"raised by {kind.__name__} while its rule {name} was checked: {rule.__doc__}")
            raise
