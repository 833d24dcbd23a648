"""The flows `rollout` and `deploy` on hosts in memory, for runs of a worker: the entrypoint of tests on a real server.

The journal is one that the test reads as well. Hosts and edges are the process's own: whoever comes next makes them
as the journal says. A file in GOPUB_TEST_BAD that is called as the env turns every canary's process there bad.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any

from prefect import flow

from flows.deploy import deploy as deploying
from flows.order import order as ordering
from flows.rollout import rollout
from gopub.clock import SystemClock
from gopub.health.samples import ProcessHealth
from gopub.journal import events as ev
from gopub.journal.reading import read_state
from gopub.rollout import hosts
from gopub.rollout.payload import Cargo
from gopub.rollout.reach import take_over
from gopub.rollout.run import Run
from gopub.rollout.seat import resume, start
from gopub.rollout.wish import Wish
from gopub.spec.projects import Project
from gopub.usecases.order import Order
from tasks import names
from tasks import ordering as of_orders
from tasks import rollout as boxes
from tests.support.rollout_world import NEW, World

__all__ = ["deploy", "order", "rollout"]
BAKE, PRESSED, ENDLESS = 8.0, 30.0, 30000.0
"""Seconds of a bake; of the first where somebody does something meanwhile, which takes a busy machine a while; and of
one that ends because somebody says so."""
WATCHED = 60.0
"""Seconds for which a promoted release is watched in envs that are called so."""
BY_ITSELF = ("asks", "waits", "soon", "staging", "prod", "audit")
"""How the envs begin in whose first bake nobody does anything."""
NEVER = "00:00-00:01 UTC"


def bakes_of(env: str) -> tuple[float, float]:
    """How long the two steps bake in an env."""
    if env.startswith("steered"):
        return ENDLESS, ENDLESS
    if env.startswith("watched"):
        return 1.0, 1.0
    return (BAKE if env.startswith(BY_ITSELF) else PRESSED), BAKE


SOON = {"soon": 2, "soon-later": 6, "soon-latest": 15}
"""Minutes to the window of an env, less up to one: a busy machine may be over a moment before it waits for it."""


def soon(env: str) -> str:
    """A window of some hours that opens at a full minute."""
    opens = datetime.fromtimestamp(SystemClock().now(), UTC) + timedelta(minutes=SOON[env])
    return f"{opens:%H:%M}-{opens + timedelta(hours=6):%H:%M} UTC"


class Served(World):
    """Hosts and an edge of one process, with a real clock."""

    def __init__(self, folder: Path, wish: Wish) -> None:
        super().__init__(folder, journal=os.environ["GOPUB_JOURNAL"])
        self.clock = SystemClock()  # type: ignore[assignment]
        self.journal._clock = self.clock
        self.wish = wish
        if wish.env.startswith("watched"):
            watched = type(self.environment.rollout).model_validate({"watch": f"{WATCHED:g}s"})
            self.environment = self.environment.model_copy(update={"rollout": watched})

    def ask_for_admissions(self) -> None:
        """They are not enrolled: each process has hosts of its own, and the next one's would believe another key."""

    def stand_as_told(self, rollout: str) -> None:
        """The hosts as the driver before us left them."""
        for name, host in read_state(self.journal, rollout).hosts.items():
            if host.staged:
                self.machines[name].folders[self.new] = "9" * 64
            if host.track == "canary":
                self.machines[name].current = self.new

    def run(self) -> Run:
        """Begin, or go on, as `gopub.usecases.start.open_run` does."""
        wish = self.wish
        if wish.rollout:
            self.stand_as_told(wish.rollout)
        facts = {name: machine.facts() for name, machine in self.machines.items()}
        if wish.rollout:
            return resume(self.ports(), wish.rollout, facts, 0, why="go on", engine_run=wish.run)
        request = Wish(app="hello", env=wish.env, release=NEW, version="2", rollout=f"r-{wish.env}", run=wish.run,
                       by=wish.by)  # fmt: skip
        made = start(self.ports(), request, facts, 0)
        bakes = zip(self.plan().steps, bakes_of(wish.env), strict=True)
        steps = tuple(replace(step, bake=bake) for step, bake in bakes)
        if wish.env.startswith("asks"):
            steps = (*steps[:1], *(replace(step, approve="ops") for step in steps[1:]))
        windows = (NEVER,) if wish.env.startswith("waits") else (soon(wish.env),) if wish.env in SOON else ()
        plan = replace(self.plan(), rollout=made.rollout, env=wish.env, steps=steps, windows=windows)
        made.record(ev.Admitted(), ev.Planned(plan))
        return made


@asynccontextmanager
async def open_run(wish: Wish, _elsewhere: object = None) -> AsyncIterator[Run]:
    """A run on what is in memory."""
    run = Served(Path(os.environ["GOPUB_TEST_BAD"]).parent, wish).run()
    await take_over(run)
    yield run


async def cargo(_run: Run, _name: str) -> Cargo:
    """Nothing is carried."""
    return Cargo({"archive": "8" * 64, "binary": "9" * 64, "files": "7" * 64}, {}, ())


async def health(run: Run, name: str) -> ProcessHealth:
    """Well, until the test says otherwise for this env."""
    bad = Path(os.environ["GOPUB_TEST_BAD"], run.state.env).exists()  # noqa: ASYNC240 - a test may wait for its disk
    return ProcessHealth(name, active=not bad)


async def nothing(*_args: Any) -> None:
    """Nothing is there already."""


async def released(*_args: Any, **_options: Any) -> dict[str, str]:
    """It is published already."""
    return {"app": "hello", "version": "2"}


class Begun:
    """The project is not asked, and it may begin."""

    async def project_folder(self, *_args: Any, **_options: Any) -> str:
        return "/nowhere"

    async def may_begin(self, _folder: str, _app: str, _env: str, **_options: Any) -> str:
        return "hello"


class Ordered(Begun):
    """What projects.yaml says is asked, and who it is; the version is there."""

    ordered = staticmethod(of_orders.ordered)
    drove_before = staticmethod(of_orders.drove_before)
    who_asks = staticmethod(of_orders.who_asks)

    async def may_be_ordered(self, _folder: str, _place: Project, _order: Order) -> None:
        """It may."""


@flow(name="order", flow_run_name=names.order)
@wraps(ordering.fn)
async def order(*args: Any, **options: Any) -> Any:
    """What a form starts, around a rollout in memory."""
    return await ordering.fn(*args, **options, boxes=Ordered(), rolling_out=rollout)


@flow(name="deploy", flow_run_name=names.deploy)
@wraps(deploying.fn)
async def deploy(*args: Any, **options: Any) -> Any:
    """The chart of `deploy` around a release that is there."""
    return await deploying.fn(*args, **options, boxes=Begun(), releasing=released)


boxes.start.open_run = open_run  # type: ignore[attr-defined]
boxes.start.already_there = nothing  # type: ignore[attr-defined]
hosts.cargo_for, hosts.process_health = cargo, health  # type: ignore[assignment]
