"""What gopub's own loggers say, as lines of the command on stderr; what libraries log is no word of ours.

Prefect would print both with its own clock, names and colours between our lines.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress

from gopub.cli.saying import say
from gopub.clock import SILENT
from gopub.paths import OWN_SERVER
from gopub.telemetry import log
from gopub.units import say_seconds

TOLD = ("gopub.release",)
"""Whose progress is told as well; of the others only what is wrong."""
QUIET = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_LOGGING_COLORS": "false",
}
"""Prefect prints nothing of its own, nor what other libraries log, unless the user has set it so."""


class Lines(logging.Handler):
    """Says records with the time of day (UTC), as the events of a rollout are said."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it; nobody who listens any more is no reason to leave a rollout alone."""
        wrong = record.levelno >= logging.WARNING
        if not wrong and record.name not in TOLD:
            return
        when = time.strftime("%H:%M:%S", time.gmtime(record.created))
        lines = [f"{'warning: ' if wrong else ''}{record.getMessage()}", *filter(None, [_trace(record)])]
        with suppress(OSError):
            say(f"{when}  " + "\n".join(lines), err=True)


def speak() -> None:
    """From now on the loggers of gopub are the command's lines, and nobody else's are."""
    ours = logging.getLogger("gopub")
    if not any(isinstance(one, Lines) for one in ours.handlers):
        ours.addHandler(Lines())
    ours.setLevel(logging.INFO)
    ours.propagate = False
    logging.raiseExceptions = False  # Prefect tells on stderr of a server that takes no logs; a page is no rollout
    logging.lastResort = None
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # they are for whoever develops with the library


def hush(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set before Prefect is imported: it stays silent here, and a server that is set up is sent what gopub says."""
    for name, value in QUIET.items():
        environment.setdefault(name, value)
    if "PREFECT_API_URL" in environment and OWN_SERVER not in environment:
        environment.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "gopub")


@contextmanager
def awaited(doing: str, wait: Callable[[threading.Event, float], bool] = threading.Event.wait) -> Iterator[None]:
    """Say again that it goes on while nobody else can speak yet; ``wait`` is until the end, or that many seconds."""
    over = threading.Event()

    def remind() -> None:
        passed = 0.0
        while not wait(over, SILENT):
            passed += SILENT
            log("release").info("still %s, %s", doing, say_seconds(passed))

    threading.Thread(target=remind, name="awaited", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _trace(record: logging.LogRecord) -> str:
    """The traceback of a fault of ours."""
    if record.exc_info and not record.exc_text:
        return logging.Formatter().formatException(record.exc_info)
    return record.exc_text or ""
