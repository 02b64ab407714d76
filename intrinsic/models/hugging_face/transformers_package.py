"""The package transformers."""

from types import ModuleType

from intrinsic.missing_package import missing_package


def hf_import() -> ModuleType:
    """The package transformers, which is slow to import and not always there.

    Raises:
        UserError: if it is missing.
    """
    try:
        import transformers
    except ImportError:
        raise missing_package("transformers", "text") from None
    module: ModuleType = transformers
    return module
