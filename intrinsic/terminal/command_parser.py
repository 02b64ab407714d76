"""The parser of a command: `python -m PACKAGE.NAME`."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from inspect import Parameter, signature
from typing import Any


def command_parser(name: str, says: str | None) -> ArgumentParser:
    """A parser of what stands behind `python -m NAME`; its help begins with the docstring of the command's module."""
    return ArgumentParser(prog=f"python -m {name}", description=says, formatter_class=RawDescriptionHelpFormatter)


def study_parser(function: Callable[..., Any], package: str, studies: str) -> ArgumentParser:
    """The parser of a command that is made of a function, whose name it has: folders of studies, no option yet.

    Args:
        function: of a module whose docstring begins the help.
        package: where the command is found.
        studies: what the help says of the folders.
    """
    parser = command_parser(f"{package}.{function.__name__}", sys.modules[function.__module__].__doc__)
    parser.add_argument("studies", nargs="+", metavar="outputs/STUDY", help=studies)
    return parser


def options_of(function: Callable[..., Any]) -> Iterator[tuple[str, Parameter]]:
    """The keyword-only arguments of a function, each with the form that it has as an option: `--like-this`."""
    for name, parameter in signature(function).parameters.items():
        if parameter.kind is Parameter.KEYWORD_ONLY:
            yield f"--{name.replace('_', '-')}", parameter
