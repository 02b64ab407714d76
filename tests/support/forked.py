"""A child of a test that changes files, and may die of it."""

import os
import signal
import sys
import traceback

CHANGES = ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "fcntl.flock")


def forked(act):
    """The status of a child that ran `act`: 0, or minus the signal that ended it, or 1 after an error."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        status = 1
        try:
            act()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(number, act):
    """Whether a child that dies at its `number`-th change of a file system died so."""

    def doomed():
        left = number

        def count(event, arguments):
            nonlocal left
            changes = event in CHANGES and not (event == "open" and arguments[1] in ("r", "rb"))
            left -= changes
            if changes and not left:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        act()

    status = forked(doomed)
    assert status in (0, -signal.SIGKILL)
    return status != 0
