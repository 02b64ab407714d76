"""The command that compiles all kernels, so that no run waits for them: `python -m intrinsic.projections.kernels`."""

from intrinsic.projections.kernels.compile_ahead import compile_ahead
from intrinsic.terminal.command import command

if __name__ == "__main__":
    with command():
        compile_ahead()
