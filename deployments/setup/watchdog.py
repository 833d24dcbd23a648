"""The automation that marks a run as crashed when its process is gone.

A process that is killed together with its worker leaves its run Running for ever. Each run sends a heartbeat every 30
seconds (prefect.yaml); after three that did not come the run is marked. Only for the UI and for waiting clients: what
became of a rollout is settled by the journal and ``recover``, and a run that was marked wrongly is fenced by its epoch.
Source: Prefect's documentation, "How to detect and respond to zombie flows".
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from deployments.setup.changes import Change

NAME = "gopub: mark runs whose process is gone"
SILENCE = timedelta(seconds=90)

_HEARTBEAT = "prefect.flow-run.heartbeat"
_ANY = "prefect.flow-run.*"
"""Its next heartbeat, or any change of its state: ours end as Promoted, Rolled back, Waiting and others as well."""


def watchdog() -> AutomationCore:
    """After a heartbeat of one of our runs, another one or a new state is expected; otherwise the run has crashed."""
    return AutomationCore(
        name=NAME,
        description="A run of gopub that was not heard of for 90 seconds is marked as crashed, and its rollout goes on "
        "in another run. Made by gopub setup; see docs/guides/prefect-server.md.",
        trigger=EventTrigger(
            after={_HEARTBEAT},
            expect={_ANY},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            # Other people's runs on the same server may send theirs less often.
            match_related=ResourceSpecification(
                {"prefect.resource.id": ["prefect.tag.gopub"], "prefect.resource.role": ["tag"]}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="no heartbeat for 90s: its process is gone")],
    )


async def ensure_watchdog(client: PrefectClient) -> list[Change]:
    """Create the automation, or bring it up to date; whether it is enabled is the operator's choice."""
    wanted = watchdog()
    found = await client.read_automations_by_name(NAME)
    if not found:
        await client.create_automation(wanted)
        return [Change("automation", NAME, "created")]
    first, *doubles = found
    for double in doubles:
        await client.delete_automation(double.id)
    if same_as_ours(first):
        return [Change("automation", NAME, "unchanged")]
    await client.update_automation(first.id, wanted.model_copy(update={"enabled": first.enabled}))
    return [Change("automation", NAME, "updated")]


def same_as_ours(found: AutomationCore) -> bool:
    """Whether an automation is as setup makes it; whether it is enabled is the operator's choice."""
    return _face(found) == _face(watchdog())


def _face(automation: AutomationCore) -> dict[str, Any]:
    core = AutomationCore.model_validate(automation.model_dump())
    face = core.model_dump(mode="json", include={"name", "description", "trigger", "actions"})
    face["trigger"] = {key: sorted(value) if isinstance(value, list) else value
                       for key, value in face["trigger"].items() if key != "id"}  # fmt: skip
    return face
