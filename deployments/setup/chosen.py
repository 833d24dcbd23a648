"""What people chose of the deployments, kept on the server for as long as a command could undo it.

Prefect's own command opens a deployment that a person paused, and takes places away that a person gave. Whoever sets up
gives both back afterwards; if that dies in between, the next set-up finds here what was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentUpdate, VariableCreate, VariableUpdate
from prefect.client.schemas.responses import DeploymentResponse

_KEPT = "gopub_setup_chosen"


@dataclass(frozen=True, slots=True)
class Choice:
    """Of one deployment: whether it is paused, and how many runs of it there may be at once, 0 for no limit."""

    paused: bool
    places: int

    @classmethod
    def of(cls, one: DeploymentResponse) -> Choice:
        """As it stands on the server."""
        return cls(bool(one.paused), places(one))

    def over(self, other: Choice) -> Choice:
        """Both wishes at once: paused where either is, and the more places."""
        return Choice(self.paused or other.paused, max(self.places, other.places))


async def keep(client: PrefectClient, before: Mapping[str, DeploymentResponse]) -> dict[str, Choice]:
    """Keep what was chosen, with what a set-up that died had kept; gives both."""
    found = await client.read_variable_by_name(_KEPT)
    chosen = {name: Choice.of(one) for name, one in before.items()}
    for name, was in _read(found.value if found else None).items():
        chosen[name] = was.over(chosen[name]) if name in chosen else was
    value = {name: [one.paused, one.places] for name, one in chosen.items()}
    if found:
        await client.update_variable(VariableUpdate(name=_KEPT, value=value))
    elif value:
        await client.create_variable(VariableCreate(name=_KEPT, value=value))
    return chosen


async def give_back(
    client: PrefectClient, chosen: Mapping[str, Choice], after: Mapping[str, DeploymentResponse]
) -> bool:
    """Give back what the command undid, then forget; gives whether anything was undone."""
    again = False
    for name, was in chosen.items():
        now = after.get(name)
        update = missing(was, now) if now else None
        if now and update:
            await client.update_deployment(now.id, update)
            again = True
    if await client.read_variable_by_name(_KEPT):
        await client.delete_variable_by_name(_KEPT)
    return again


def missing(was: Choice, now: DeploymentResponse) -> DeploymentUpdate | None:
    """What must be set anew for a deployment to be as it was chosen; None where nothing must."""
    update = DeploymentUpdate()
    if was.paused and not now.paused:
        update.paused = True
    if was.places > places(now) > 0:
        update.concurrency_limit = was.places
    return update if update.model_fields_set else None


def places(one: DeploymentResponse) -> int:
    """How many runs there may be at once; 0 for no limit."""
    return one.global_concurrency_limit.limit if one.global_concurrency_limit else 0


def _read(value: object) -> dict[str, Choice]:
    """What a variable holds; what is not of our making counts as nothing, for anybody may write one."""
    told = value if isinstance(value, dict) else {}
    return {
        name: Choice(one[0], one[1])
        for name, one in told.items()
        if isinstance(one, list) and len(one) == 2 and isinstance(one[0], bool) and type(one[1]) is int
    }
