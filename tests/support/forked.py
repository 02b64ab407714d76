"""A child of a test that changes files, and may die of it."""

import os
import signal
import traceback


def forked(act):
    """The status of a child that ran `act`: 0, or minus the signal that ended it, or 1 after an error."""
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        status = 1
        try:
            act()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
