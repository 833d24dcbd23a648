"""The boxes of what somebody decides of a rollout under way; what may be decided is gopub.usecases.steer's word."""

from __future__ import annotations

from gopub.spec.people import Who
from gopub.usecases import steer
from gopub.wiring import settings
from tasks.asking import who_is
from tasks.box import box

__all__ = ["steered", "who_is"]


@box(name="decide", limit=60)
async def steered(app: str, env: str, decision: str, reason: str, who: Who) -> str:
    """Write what was decided; gives what came of it."""
    return steer.steer(settings.journal(), app, env, decision, reason=reason, who=who)
