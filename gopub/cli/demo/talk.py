"""What the demo says: on a terminal a live line below the story, elsewhere plain lines. All of it on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from gopub.cli.saying import cell, console


class Talk:
    """Tells the story."""

    def __init__(self) -> None:
        """Find out whether a person watches."""
        self.console = console(err=True)
        self._status = self.console.status("") if self.console.is_terminal else None
        self._piped = not self.console.is_terminal
        self._began = time.monotonic()

    def headline(self, text: str) -> None:
        """A new act."""
        self.console.print()
        self.console.print(
            cell(text, "bold") if self.console.is_terminal else cell(f"== {text}"), soft_wrap=self._piped
        )

    def line(self, text: str) -> None:
        """One thing that happened."""
        passed = time.monotonic() - self._began
        self.console.print(cell(f"{passed:7.1f}s  {text}"), soft_wrap=self._piped)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show a live line while the body runs; nothing off a terminal."""
        if self._status is None:
            yield
            return
        with self._status:
            yield

    def now(self, text: str) -> None:
        """Change the live line."""
        if self._status:
            self._status.update(cell(text))
