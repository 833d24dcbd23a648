"""What an env runs and what is under way there: the rows of `gopub status`, and later of a board. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gopub.canon import Json
from gopub.errors import GopubError
from gopub.journal.state import EnvState
from gopub.views.history import PastView
from gopub.views.rollout import RolloutView
from gopub.views.standing import moment


@dataclass(frozen=True, slots=True)
class EnvView:
    """An env; ``stable`` is a version, ``release`` a release's short id, ``since`` RFC 3339; each may be empty.

    ``owed_hosts`` could not be confirmed, by why; ``last`` is the newest rollout that is over.
    Where a stream of it is damaged, ``damage`` is what is wrong, and only what the others tell stands in the row.
    """

    app: str
    env: str
    stable: str = ""
    release: str = ""
    since: str = ""
    active: RolloutView | None = None
    quarantined: tuple[str, ...] = ()
    automatic_rollbacks: int = 0
    owed_edges: tuple[str, ...] = ()
    owed_hosts: Mapping[str, str] = field(default_factory=dict)
    last: PastView | None = None
    damage: GopubError | None = None

    @property
    def owes(self) -> bool:
        """Whether a host or an edge is owed, by the env itself or by what is under way."""
        return bool(self.owed_edges or self.owed_hosts or (self.active and self.active.owed))

    @property
    def unpinned(self) -> tuple[str, ...]:
        """The hosts that do not check who orders, by the plan of what is under way, else by the last one."""
        told = self.active or self.last
        return told.unpinned if told else ()

    def to_json(self) -> dict[str, Json]:
        """As `gopub status --json` has it; ``damaged`` is there only where something is."""
        row: dict[str, Json] = {
            "app": self.app,
            "env": self.env,
            "stable": self.stable or None,
            "release": self.release or None,
            "since": self.since or None,
            "active": self.active.to_json() if self.active else None,
            "quarantined": list(self.quarantined),
            "automatic_rollbacks_in_a_row": self.automatic_rollbacks,
            "owed_edges": list(self.owed_edges),
            "owed_hosts": dict(self.owed_hosts),
            "last": self.last.to_json() if self.last else None,
        }
        return {**row, "damaged": says(self.damage)} if self.damage else row


def env_view(
    app: str, env: str, state: EnvState, at: float, active: RolloutView | None = None, last: PastView | None = None
) -> EnvView:
    """The env as its own stream tells it, whose last entry is of ``at``, its rollout under way and its last one."""
    return EnvView(
        app,
        env,
        stable=state.stable_version,
        release=state.stable[:12],
        since=moment(at) if at else "",
        active=active,
        quarantined=tuple(sorted(release[:12] for release in state.quarantine)),
        automatic_rollbacks=state.automatic_rollbacks,
        owed_edges=state.owed_edges,
        owed_hosts=dict(state.owed_hosts),
        last=last,
    )


def says(damage: GopubError) -> str:
    """What is damaged, in one line."""
    return f"{damage.code} {damage.problem}"
