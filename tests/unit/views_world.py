"""A journal with every kind of row that people read: baking, held, waiting, promoted, taken back, owed, not begun."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from gopub.clock import ManualClock
from gopub.journal import events as ev
from gopub.journal.seat import Seat
from gopub.journal.store import Journal, open_journal
from gopub.plan.model import Outcome, Plan, PlannedHost, PlannedStep, ReleaseRef
from gopub.rollout.run import Run
from gopub.spec.loader import parse_spec
from gopub.wiring.ports import Ports
from tests.support.doubles import MemoryFleet
from tests.support.rollout_world import SPEC

OLD, NEW = "a" * 64, "b" * 64
OLD_FOLDER, NEW_FOLDER = f"{OLD[:12]}-{'1' * 12}", f"{NEW[:12]}-{'2' * 12}"
HOSTS = tuple(
    PlannedHost(n, f"{n}:1", f"id-{n}", "linux/amd64", "2" * 64, OLD_FOLDER, "0" * 64) for n in ("app1", "app2")
)
STEPS = (PlannedStep(0, ("app1",), 2500, 60.0), PlannedStep(1, ("app1", "app2"), 10000, 30.0, approve="ops"))
RUN, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
SEEN: dict[str, Any] = {
    "rollout_totals": {"canary_requests": 1200, "canary_errors": 7, "stable_requests": 3600, "stable_errors": 2},
    "score": {"value": 93.25}, "evidence": {"e_value": 12.3456}, "no_data": "",
    "log_score": {
        "value": 81.5, "canary_requests": 1200, "stable_requests": 3600,
        "classes": [{"name": "panic <b>", "canary": 4, "stable": 0, "counted": True}, {"name": "quiet"}],
    },
    "log_note": "one host was silent",
    "queries": [{"text": "sum(rate(x[1m]))", "series": 2, "answer": "d1g35t"}],
}  # fmt: skip


def plan(rollout: str, app: str, env: str, **changed: Any) -> Plan:
    """Two hosts, two steps."""
    made = Plan(rollout, app, env, app, ReleaseRef(NEW, "2.0.0"), ReleaseRef(OLD, "1.0.0"), HOSTS, STEPS, 1, 1.5,
                3600.0, 5.0, "judged", upstream=app, notes=("a note with `marks`",))  # fmt: skip
    return replace(made, **changed)


def moving(rollout: str, app: str, env: str) -> list[ev.Event]:
    """As far as the bake of its first step."""
    return [
        ev.Opened(rollout, app, env, NEW, "2.0.0", "because | of <it>"), ev.SeatTaken(1, "ann@desk:1", run=RUN),
        ev.Admitted(("signed by ci",)), ev.Planned(plan(rollout, app, env)), ev.StageIntended(("app1", "app2")),
        ev.HostStaged("app1"), ev.HostStaged("app2"), ev.SwitchIntended(("app1",), NEW_FOLDER, "canary"),
        ev.HostSwitched("app1", NEW_FOLDER, "canary",
                        values={"unit.exe_digest": "9" * 64, "unit.main_pid": "42"}),
        ev.TableIntended("in", 2500, ("app2",), ("app1",)), ev.TablePut(2500, {"edge1": "ok", "edge2": "away"}),
        ev.StepReached(0, 1_700_000_000.0),
    ]  # fmt: skip


def judged(kind: str, rule: int, reason: str, seen: dict[str, Any]) -> ev.Judged:
    """A verdict on the first step after 12 seconds."""
    return ev.Judged(0, kind, rule, reason, {"record": {"observation": seen}}, observed=12.0)


def went_back(rollout: str, app: str, env: str) -> list[ev.Event]:
    """Taken back by rule 3, with a host and an edge owed."""
    *before, reached = moving(rollout, app, env)
    return [
        *before, ev.HostFailed("app2", "stage", "GP440", "no\nroom"), reached,
        judged("ROLLBACK", 3, "errors *rise*", SEEN), ev.GoingBack(Outcome.ROLLED_BACK, 3, "errors *rise*"),
        ev.TrafficOff(1_700_000_060.0), ev.SwitchIntended(("app1",), OLD_FOLDER, "stable"),
        ev.HostOwed("app1", "it does not | answer"),
        ev.Closed(Outcome.ROLLED_BACK, "errors *rise*", ("app1",), ("edge1",)),
    ]  # fmt: skip


def world(folder: Path) -> tuple[Journal, ManualClock]:
    """The journal in ``folder``."""
    clock = ManualClock()
    journal = open_journal(str(folder / "journal.db"), clock)
    promoted: list[ev.Event] = [
        *moving("r-done", "hello", "lab"), judged("PROMOTE", 7, "well", SEEN), ev.StepPassed(0, "rule 7"),
        ev.SwitchIntended(("app2",), NEW_FOLDER, "canary"), ev.HostSwitched("app2", NEW_FOLDER, "canary"),
        ev.StepReached(1, 1_700_000_100.0), ev.StepPassed(1, "ann"), ev.Settling(), ev.Closed(Outcome.PROMOTED),
    ]  # fmt: skip
    waiting = [*moving("r-wait", "hello", "prod")[:4], ev.Waiting(0, "step 1 waits for ops")]
    held = [ev.SeatTaken(2, "bob@desk:2", "go on", OTHER), ev.Held("ann", "lunch", until=1_700_003_600.0)]
    blind = judged("WATCH", 1, "no data", {"no_data": "x"})
    active = {
        ("orders", "prod", "r-bake"): [*moving("r-bake", "orders", "prod"), judged("HOLD", 4, "too `few`", SEEN)],
        ("orders", "dev", "r-held"): [*moving("r-held", "orders", "dev"), *held],
        ("hello", "prod", "r-wait"): waiting,
        ("hello", "dev", "r-blind"): [*moving("r-blind", "hello", "dev"), blind],
        ("hello", "new", "r-new"): [],
    }  # fmt: skip
    over = {
        ("hello", "lab", "r-done"): (promoted, ev.EnvClosed("r-done", Outcome.PROMOTED, NEW, "2.0.0")),
        ("orders", "lab", "r-back"): (went_back("r-back", "orders", "lab"), ev.EnvClosed(
            "r-back", Outcome.ROLLED_BACK, OLD, "1.0.0", quarantined=NEW, automatic=True, owed_edges=("edge1",),
            owed_hosts={"app1": "it does not | answer"})),
    }  # fmt: skip

    def write(stream: str, version: int, events: list[ev.Event]) -> None:
        asyncio.run(clock.sleep(1.0))
        if events:
            journal.append(stream, version, events, actor="ann", trace="7" * 32)

    for (app, env, rollout), events in active.items():
        write(f"env/{app}/{env}", 0, [ev.EnvOpened(rollout, NEW)])
        write(f"rollout/{rollout}", 0, events)
    for (app, env, rollout), (events, closed) in over.items():
        write(f"env/{app}/{env}", 0, [ev.EnvOpened(rollout, NEW)])
        write(f"rollout/{rollout}", 0, events)
        write(f"env/{app}/{env}", 1, [closed])
    write("asked/r-held", 0, [ev.Asked("hold", "lunch", "ann", 1_700_000_050.0)])
    journal.take_seat(Seat("orders", "prod", 0, "t", "ann@desk:1"), rollout="r-bake", lease=3600.0)
    journal.take_seat(Seat("orders", "dev", 0, "t", "bob@desk:2"), rollout="r-held", lease=0.0)
    return journal, clock


def run_of(journal: Journal, clock: ManualClock, rollout: str) -> Run:
    """A driver's run on it, for what takes one."""
    environment = parse_spec(SPEC, "gopub.yaml").spec.environments["lab"]
    ports = Ports(journal, clock, MemoryFleet({}), (), environment, None, Path("kits"))
    _, app, env = ("", *next(key.split("/")[1:] for key in journal.streams("env/") if _opened(journal, key, rollout)))
    return Run(ports, Seat(app, env, 1, "t", "ann@desk:1"), rollout, actor="ann", trace="7" * 32)


def _opened(journal: Journal, stream: str, rollout: str) -> bool:
    return any(isinstance(one.event, ev.EnvOpened) and one.event.rollout == rollout for one in journal.read(stream))
