"""Saying that a class of error lines is harmless, or taking it back: a person's word, with a reason, in the journal."""

from __future__ import annotations

from gopub.errors import UsageError
from gopub.health.levels import level_of
from gopub.journal import events as ev
from gopub.journal.reading import harmless_of, read_env_state, whoami
from gopub.journal.store import Journal
from gopub.journal.streams import env_stream

KINDS = ("template:", "error:")


def says_something(name: str) -> bool:
    """Whether a class tells its lines from others; ``ERROR *`` has any line of one word, name or number."""
    kind, _, text = name.partition(":")
    return kind != "template" or any(word != "*" and level_of(word) is None for word in text.split())


def mark_class(journal: Journal, app: str, env: str, name: str, reason: str, *, harmless: bool = True) -> None:
    """Write it down; it holds for lines that are read from then on, in a rollout that is under way as well.

    Raises:
        UsageError: GP607 it is no class that can be marked, it has no reason, or there is nothing to take back.
    """
    if not name.startswith(KINDS) or not name.partition(":")[2].strip():
        raise UsageError("GP607", f"the class {name!r} cannot be marked: it is no template and no kind of error",
                         hint="`gopub logs classes` lists them; levels always count")  # fmt: skip
    if harmless and not says_something(name):
        raise UsageError("GP607", f"the class {name!r} cannot be marked: it has no word that says what went wrong",
                         hint="mark a kind of error, or let the service say it in words")  # fmt: skip
    if not reason.strip():
        raise UsageError("GP607", f"the class {name!r} cannot be marked without a reason", hint="add --reason TEXT")
    if not harmless and name not in harmless_of(journal, app, env):
        raise UsageError("GP607", f"the class {name!r} is not marked as harmless in {env}", hint="leave --undo out")
    version = read_env_state(journal, app, env).version
    event = ev.LogClassMarked(name, reason, harmless)
    journal.append(env_stream(app, env), version, [event], actor=whoami())
