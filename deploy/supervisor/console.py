"""What `mizumori up` says on the terminal: few lines, in the order things happen."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console as RichConsole


class Console:
    """Progress with a spinner on a terminal, plain lines elsewhere.

    A terminal that has gone is no error: the services go on, or stop, all the same.
    """

    def __init__(self) -> None:
        self._rich = RichConsole(highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show `what` while the block runs and how long it took when it is done."""
        began = time.monotonic()
        if self._rich.is_terminal:
            with self._rich.status(f"{what} …"):
                yield
        else:
            yield
        self.say(f"  {what} ({time.monotonic() - began:.1f} s)")

    def say(self, line: str) -> None:
        """Print one line."""
        with suppress(OSError, ValueError):
            self._rich.print(line, markup=False)
            sys.stdout.flush()
