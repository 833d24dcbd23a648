"""Whether a rollout may follow another one into the next environment: asked before a run is started for it."""

from __future__ import annotations

from typing import NoReturn

from gopub.errors import LockedError, RefusedError
from gopub.journal.reading import read_env_state, read_state
from gopub.journal.state import State
from gopub.journal.store import Journal
from gopub.plan.model import Outcome
from gopub.rollout.seat import refuse_start
from gopub.rollout.wish import Wish

LATE = "GP737"
"""The end of a rollout is not sent on any more."""


def refuse_unbegun(run: str, app: str, env: str) -> NoReturn:
    """Refuse, for now, what follows a rollout while a run that was started before is on its way to the same env.

    Raises:
        LockedError: GP708.
    """
    raise LockedError("GP708", f"the run {run} into {env} of {app}, started before, is not over", hint="wait for it")


def refuse_following(journal: Journal, app: str, env: str, after: str) -> None:
    """Refuse to send on what the rollout ``after`` came to: for now, where one is under way, or for ever.

    What was promoted counts as long as it was not taken back where it was promoted.

    Raises:
        LockedError: GP707, GP708 a rollout is active where it is to go, or one of the same release where it comes from.
        RefusedError: GP737 its release was taken back where it comes from.
        GopubError: GP701 the journal cannot be read.
    """
    before = read_state(journal, after)
    if before.closed and before.closed.outcome is Outcome.PROMOTED:
        _refuse_taken_back(journal, before)
    refuse_start(journal, Wish(app=app, env=env))


def _refuse_taken_back(journal: Journal, before: State) -> None:
    source = read_env_state(journal, before.app, before.env)
    if before.release in source.quarantine:
        raise RefusedError(
            LATE,
            f"{before.app} {before.release_version} was promoted in {before.env} by {before.rollout} and rolled back "
            "there since",
            hint="a person can start it: gopub rollout VERSION --env ENV",
        )
    if source.active and read_state(journal, source.active).release == before.release:
        raise LockedError(
            "GP708",
            f"rollout {source.active} of {before.app} {before.release_version} in {before.env}, where it comes from, "
            "is active",
            hint="what it comes to decides",
        )
