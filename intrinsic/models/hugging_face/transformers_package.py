"""The package transformers."""

from types import ModuleType

from intrinsic.errors import UserError


def hf_import() -> ModuleType:
    """The package transformers, which is slow to import and not always there.

    Raises:
        UserError: if it is missing.
    """
    try:
        import transformers
    except ImportError:
        raise UserError("the package transformers is missing: pip install -e '.[text]'") from None
    module: ModuleType = transformers
    return module
