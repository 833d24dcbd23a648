"""Who asks, of a run that somebody started: the login that the server vouched for, else what was typed, marked so."""

from __future__ import annotations

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun

from gopub.errors import GopubError
from gopub.spec.people import UNKNOWN, Who
from gopub.telemetry import log
from gopub.usecases.approvers import claimed, typed
from gopub.wiring.people import house, os_login
from tasks import marks, presses

LONG = 60.0
"""Seconds to find out who started a rollout that one person alone may not approve: else nobody does."""
_log = log("logins")


async def who_asks(name: str, actor: str = "") -> str:
    """The actor of what this run does; ``name`` is typed into its form, ``actor`` by whoever starts it otherwise.

    In a run of a deployment nobody is taken for the user of the worker: whoever did not say who he is, is somebody.
    """
    run = await _this_run()
    if run is None or run.deployment_id is None:
        return claimed(actor) or (typed(name) if name else "")
    if word := presses.started_by(run):
        return word.actor
    return claimed(actor) or typed(name)


async def who_is(name: str) -> Who:
    """Who filled in the form that started this run: the login that the server vouched for, else the typed name."""
    run = await _this_run()
    return (presses.starter_of(run) if run else None) or Who("typed", claimed(name) or "somebody")


async def whose(actor: str) -> str:
    """The person of people.yaml who started this run, where the house wants two for an approval; see `People.starter`.

    Of a command that is who types; what cannot be found out is nobody's own, so nobody approves it.
    """
    try:
        people = house()
    except GopubError as error:
        _log.warning("who started this is not known: %s", error.problem)
        return UNKNOWN
    if people is None or not people.four_eyes:
        return ""
    if not marks.on_a_worker():
        return people.starter(os_login(), "")
    try:
        run = await _this_run(LONG)
    except Exception as error:  # noqa: BLE001 - whatever keeps Prefect from saying which run this is
        _log.warning("who started this is not known: %r", error)
        return UNKNOWN
    return people.starter(presses.starter_of(run), actor) if run else UNKNOWN


def said_by(actor: str) -> str:
    """The same of a flow without a form: what another flow of ours says of who asked stays as it is."""
    return actor if len(marks.runs_here()) > 1 else claimed(actor)


async def _this_run(patience: float = marks.SERVER_ANSWERS_WITHIN) -> FlowRun | None:
    known = next(iter(marks.runs_here()), None)
    if known is None:
        return None

    async def read(client: PrefectClient) -> FlowRun | None:
        return await marks.read_run(client, known)

    return await marks.from_prefect("who started this run is not known", read, None, patience)
