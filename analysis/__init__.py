"""Records to tables and figures; nothing here imports torch."""

from intrinsic.terminal.check_program import check_program

check_program()
