"""Commands of a project that run beside the driver: its own hooks, in its own folder.

Where the project lies may be the journal's word, and a journal may be another's: what nobody but the driver's user and
root can have written is run, and nothing else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from gopub import process
from gopub.errors import RefusedError
from gopub.process import Result
from gopub.wiring.ports import Here

MOST_SAID = 16_384
"""Bytes that are kept of what a hook prints."""


def here_in(folder: Path) -> Here:
    """Run in that folder, with a small environment and what is told of the rollout."""

    async def run(words: Sequence[str], told: Mapping[str, str], within: float) -> Result:
        refuse_strangers(folder)
        environment = process.base_environment(extra=told)
        return await process.run(words, cwd=folder, env=environment, timeout=within, check=False, most=MOST_SAID)

    return run


def refuse_strangers(folder: Path) -> None:
    """Run nothing of a folder that somebody else owns or may write to.

    Raises:
        RefusedError: GP592 with what is another's.
    """
    for place in (folder, folder / "gopub.yaml"):
        try:
            found = place.stat()
        except OSError as error:
            raise RefusedError("GP592", f"{place} cannot be looked at: {error.strerror}",
                               hint="hooks run in the project's folder") from error  # fmt: skip
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & stat.S_IWOTH:
            raise RefusedError("GP592", f"{place} belongs to another user, or everybody may write to it",
                               hint="hooks beside the driver are run of a project that is the driver's own: chown it, "
                               "or take the right to write away from others")  # fmt: skip
