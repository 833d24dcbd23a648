"""Where the project of an env's last rollout lies, as the journal remembers it."""

from __future__ import annotations

from gopub.errors import GopubError, UsageError
from gopub.journal import events as ev
from gopub.journal.store import Journal
from gopub.journal.streams import env_stream, stream_of


def last_project(journal: Journal, app: str, env: str) -> str:
    """The folder that the env's last rollout was started from: who starts one in the UI need not know it.

    Raises:
        UsageError: GP951 there was none on this journal.
    """
    for entry in reversed(journal.read(env_stream(app, env))):
        if isinstance(entry.event, ev.EnvOpened):
            began = (one.event for one in journal.read(stream_of(entry.event.rollout)))
            for event in began:
                if isinstance(event, ev.Opened):
                    return event.project
    raise UsageError("GP951", f"where the gopub.yaml of {app} lies is not known: nothing was rolled out into {env} yet",
                     hint="start `deploy`, or name the folder on the worker as `project`")  # fmt: skip


def known_project(journal: Journal, app: str, env: str) -> str:
    """The same for who can do without: ``.`` where nobody knows it."""
    try:
        return last_project(journal, app, env)
    except GopubError:
        return "."
