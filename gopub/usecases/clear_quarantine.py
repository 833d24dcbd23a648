"""Allowing a release again that was rolled back; a person's word, with a reason, in the journal."""

from __future__ import annotations

from gopub.errors import UsageError
from gopub.journal import events as ev
from gopub.journal.reading import read_env_state, whoami
from gopub.journal.streams import env_stream
from gopub.wiring import settings


def clear(app: str, env: str, release: str, reason: str, actor: str = "") -> None:
    """Take a release out of an env's quarantine.

    Raises:
        UsageError: GP728 it is not there.
    """
    journal = settings.journal()
    state = read_env_state(journal, app, env)
    if release not in state.quarantine:
        held = ", ".join(sorted(one[:12] for one in state.quarantine)) or "nothing"
        raise UsageError("GP728", f"release {release[:12]} is not quarantined in {env}; quarantined: {held}",
                         hint="leave --clear-quarantine out")  # fmt: skip
    event = ev.QuarantineCleared(release, reason)
    journal.append(env_stream(app, env), state.version, [event], actor=actor or whoami())
