"""The check that the packages of the program are there, which the library does without."""

import sys
from importlib.util import find_spec

from intrinsic.missing_package import missing_package
from intrinsic.terminal.command import command

# as they are imported, and as they are installed; wandb and scikit-learn are missed where they are used
PROGRAM = {
    "hydra": "hydra-core",
    "joblib": "joblib",
    "rich": "rich",
    "pandas": "pandas",
    "matplotlib": "matplotlib",
    "bokeh": "bokeh",
    "jinja2": "jinja2",
}


def check_program() -> None:
    """Check the packages, before anything that needs them is imported. A command ends with one line.

    Raises:
        UserError: if one is missing, to whoever imports a module of the program.
    """
    missing = [package for name, package in PROGRAM.items() if find_spec(name) is None]
    if not missing:
        return
    error = missing_package(missing[0], "program")
    if sys.argv[:1] != ["-m"]:  # what Python has there while it looks for the module that it shall run
        raise error
    with command():
        raise error
