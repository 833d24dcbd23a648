"""Whether a host may be told anything: one that has to check orders, or did, is told nothing where it does not."""

from __future__ import annotations

from gopub.errors import RefusedError
from gopub.fleet.protocol import HostChannel
from gopub.plan.preflight import refusal_of_unpinned
from gopub.rollout.run import Run


async def refuse_unpinned(run: Run, name: str, channel: HostChannel) -> None:
    """Nothing is told to a host that checks no orders and must, or that did when the plan was made.

    Raises:
        RefusedError: GP480.
    """
    before, wanted = run.plan.host(name).pinned, run.ports.environment.require == "enrolled"
    if not (before or wanted) or await channel.enrolled():
        return
    if error := refusal_of_unpinned(run.plan.env, run.ports.environment, (name,)):
        raise error
    raise RefusedError("GP480", f"{name} was enrolled when the plan was made, and answers as a host that is not",
                       hint="it was set up anew, or somebody took its enrolment away: look at it, then enrol it again; "
                       "or the ssh connection here has no `sign`, and can ask no host")  # fmt: skip
