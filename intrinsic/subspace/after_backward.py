"""Something to do when a backward pass has ended."""

from collections.abc import Callable

from intrinsic.surgery.torch_internals import when_backward_ends


class AfterBackward:
    """Do something once at the end of a backward pass, after what others do there, such as FSDP2's last reductions.

    Args:
        do: what.
    """

    def __init__(self, do: Callable[[], None]) -> None:
        self._do = do
        self.is_due = False

    def ask(self) -> None:
        """Let it be done: from within a backward pass, as often as you like."""
        if not self.is_due:
            self.is_due = True
            # what is asked for at the end comes after all that was asked for before
            when_backward_ends(lambda: when_backward_ends(self._end))

    def forget(self) -> None:
        """Begin anew: an exception in a backward pass has taken what was asked for with it."""
        self.is_due = False

    def _end(self) -> None:
        self.is_due = False
        self._do()
