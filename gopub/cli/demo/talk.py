"""What the demo says: on a terminal a live line below the story, elsewhere plain lines. All of it on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Talk:
    """Tells the story."""

    def __init__(self) -> None:
        """Find out whether a person watches."""
        self.console = Console(stderr=True, highlight=False)
        self._status = self.console.status("") if self.console.is_terminal else None
        self._began = time.monotonic()

    def headline(self, text: str) -> None:
        """A new act."""
        self.console.print(f"\n[bold]{text}[/bold]" if self.console.is_terminal else f"\n== {text}")

    def line(self, text: str) -> None:
        """One thing that happened."""
        passed = time.monotonic() - self._began
        self.console.print(f"{passed:7.1f}s  {text}", markup=False, soft_wrap=True)

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
            self._status.update(text)
