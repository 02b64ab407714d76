"""What sees a config: runs, and measurements of finished ones."""

from intrinsic.terminal.check_program import check_program

check_program()
