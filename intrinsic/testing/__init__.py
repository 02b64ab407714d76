"""The contracts of a projection and a space, for parts of your own: no test runner is needed."""

from intrinsic.testing.check_projection import check_projection as check_projection
from intrinsic.testing.check_space import check_space as check_space
from intrinsic.testing.contract_error import ContractError as ContractError
