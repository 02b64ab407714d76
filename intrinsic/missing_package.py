"""The line for an optional package that is not there."""

from intrinsic.errors import UserError

DISTRIBUTION = "intrinsic-subspaces"  # what `import intrinsic` is called where it is installed from


def missing_package(package: str, extra: str) -> UserError:
    """What to raise where a package, by the name under which it is installed, is missing; `extra` brings it."""
    return UserError(f"the package {package} is missing: pip install '{DISTRIBUTION}[{extra}]'")
