"""An API with recorded ends, for the tests of the routes: nothing is started, and the clock stands still."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from deployments.api.app import create_app
from deployments.api.parts import Parts
from deployments.api.starting import Starting
from deployments.deliveries import Deliveries
from deployments.hooks.alertmanager import AlertSecrets
from deployments.hooks.signing import HookSecrets
from deployments.journal import FollowCheck
from deployments.refs import Branch
from deployments.starter import RunOrder, RunView
from gopub.clock import ManualClock
from gopub.errors import GopubError, RefusedError
from gopub.source.versions import is_older
from gopub.spec.projects import parse_projects

PUSHED = "9a1f2c3d4e5b60718293a4b5c6d7e8f901234567"
"""The commit of both branches, and of the recorded deliveries."""
OFFERED = "d" * 40
"""A commit that is in nothing but a merge request."""
TAGS = ("refs/tags/v1.2.0", "refs/tags/v1.4.0", "refs/tags/v2.3.0", "refs/tags/audit/2.0.0")
HEADS = ("refs/heads/main", "refs/heads/release/v2.3")
HOOK_TOKEN = "hook-token-1234"
TOKENS = {"oncall": "oncall-secret", "ci": "ci-secret"}
PROJECTS = f"""
apps:
  orders:
    repository: https://gitlab.example/trade/orders.git
    project: /srv/orders
    envs: [staging, prod]
    rules:
      - {{tag: "v*", env: prod}}
      - {{branch: release/*, env: staging}}
  audit: {{repository: https://gitlab.example/trade/audit.git, envs: [prod], version_tag: "audit/{{version}}",
    project_ref: refs/heads/main}}
tokens:
  oncall: {{sha256: {hashlib.sha256(b"oncall-secret").hexdigest()}}}
  ci: {{sha256: {hashlib.sha256(b"ci-secret").hexdigest()}, apps: [orders], envs: [staging], refs: ["refs/tags/v*"]}}
gitlab: {{token: {{env: HOOK}}}}
"""


def older_than_1_3(app: str, env: str, version: str) -> None:
    """A journal in which 1.3.0 is stable in prod; that of staging is away."""
    if env == "staging":
        raise GopubError("GP701", "the journal cannot be opened", hint="mend it")
    if is_older(version, "1.3.0"):
        raise RefusedError("GP730", f"{app} {version} is older than 1.3.0, which is stable in {env}", hint="go back")


class FixedRefs:
    """Refs that were told to it."""

    def __init__(self, *known: str, commits: dict[str, tuple[str, ...]] | None = None) -> None:
        """Know these full names, of any repository, and which commits they hold."""
        self._known = frozenset(known)
        self._commits = dict(commits or {})
        self.history: list[str] = []
        """Of every branch, the oldest first."""
        self.head = ""
        self.asked = 0

    def add(self, *names: str) -> None:
        """There are these as well from now on."""
        self._known |= frozenset(names)

    def push(self, commit: str) -> None:
        """A commit is on every branch from now on."""
        self._commits[commit] = HEADS

    async def named(self, repository: str, names: Sequence[str]) -> tuple[str, ...]:
        """Those that it was told of."""
        return tuple(name for name in names if name in self._known)

    async def branch(self, repository: str, name: str, commits: Sequence[str]) -> Branch:
        """As its history is."""
        self.asked += 1
        known = [one for one in self.history if one in commits]
        return Branch(self.head, frozenset(known), frozenset(known[-1:]))

    async def holding(self, repository: str, commit: str) -> tuple[str, ...]:
        """What it was told of the commit."""
        return self._commits.get(commit, ())


@dataclass(slots=True)
class RecordingStarter:
    """Starts nothing and remembers every order; ``broken`` is raised instead when set. Runs in ``over`` have ended."""

    orders: list[RunOrder] = field(default_factory=list)
    broken: Exception | None = None
    over: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    """Runs that a worker took up."""

    async def start(self, order: RunOrder) -> RunView:
        """Remember the order; the same key gives the same run."""
        if self.broken:
            raise self.broken
        if order.key not in [seen.key for seen in self.orders]:
            self.orders.append(order)
        place = [seen.key for seen in self.orders].index(order.key)
        return RunView(f"run-{place + 1}", f"{order.app}-{order.env}", "Scheduled", order.app, order.env)

    async def run(self, run_id: str) -> RunView | None:
        """The run of the n-th order, scheduled until it is over."""
        names = {f"run-{place}": order for place, order in enumerate(self.orders, 1)}
        order, final = names.get(run_id), run_id in self.over
        if order is None:
            return None
        return RunView(run_id, f"{order.app}-{order.env}", "Scheduled", order.app, order.env, final=final)

    async def cancel_unbegun(self, run_id: str, why: str) -> bool:
        """It is over, unless it was taken up."""
        if self.broken:
            raise self.broken
        self.over |= {run_id} - self.begun
        return run_id in self.over


@dataclass
class Kit:
    """The parts, and a client that speaks to the application in memory."""

    parts: Parts
    refs: FixedRefs
    starter: RecordingStarter
    clock: ManualClock
    rollouts: dict[tuple[str, str, str], str]
    client: httpx.AsyncClient

    async def deploy(
        self, body: object, token: str | None = TOKENS["oncall"], headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """POST /v1/deploy."""
        auth = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return await self.client.post("/v1/deploy", json=body, headers={**auth, **(headers or {})})

    async def hook(self, body: bytes, **headers: str) -> httpx.Response:
        """POST /v1/hooks/gitlab; underscores in names stand for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post("/v1/hooks/gitlab", content=body, headers=named)

    async def settle(self) -> int:
        """Start what waits, as the task beside the answers does; gives how many still wait."""
        starting = Starting(self.parts)
        await starting.look()
        await starting.idle()
        return self.parts.deliveries.count()

    async def told(self, answer: httpx.Response, token: str = TOKENS["oncall"]) -> Any:
        """What the API says of the delivery that was answered so."""
        found = await self.client.get(answer.headers["location"], headers={"Authorization": f"Bearer {token}"})
        return found.json()


def its_turn(_app: str, _env: str, _after: str) -> None:
    """A journal in which nothing keeps what follows a rollout waiting."""


def make_kit(
    folder: Path,
    hooks: Mapping[str, HookSecrets] | None = None,
    projects: str = PROJECTS,
    following: FollowCheck = its_turn,
    alerts: AlertSecrets | None = None,
) -> Kit:
    """A kit whose deliveries lie in ``folder``; made twice in the same folder it is the same server restarted."""
    starter, clock = RecordingStarter(), ManualClock()
    known: dict[tuple[str, str, str], str] = {}
    refs = FixedRefs(*TAGS, *HEADS, commits={PUSHED: HEADS, OFFERED: ("refs/merge-requests/1/head",)})
    parts = Parts(
        projects=parse_projects(projects, "projects.yaml"),
        tokens={name: hashlib.sha256(word.encode()).hexdigest() for name, word in TOKENS.items()},
        hooks=hooks if hooks is not None else {"orders": HookSecrets(tokens=(HOOK_TOKEN,))},
        deliveries=Deliveries(folder / "deliveries.sqlite"),
        starter=starter,
        refs=refs,
        clock=clock,
        alerts=alerts,
        downgrade=older_than_1_3,
        following=following,
        rollouts=lambda app, env, run, since: known.get((app, env, run), "") if since <= clock.now() else "",
    )
    transport: Any = httpx.ASGITransport(app=create_app(parts), raise_app_exceptions=False)
    return Kit(parts, refs, starter, clock, known, httpx.AsyncClient(transport=transport, base_url="http://gopub.test"))
