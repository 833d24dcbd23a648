"""Alertmanager's webhook: what fires holds the rollout that its labels name, what is over lets it go on."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType

from deployments.hooks.alertmanager import LIMIT, AlertSecrets, may_tell
from deployments.projects import alert_secrets
from gopub.errors import SpecError
from gopub.journal import events as ev
from gopub.journal.reading import asked
from gopub.journal.store import Journal
from gopub.judge.gates import HOLD, RESUME, hold_of, say_hold
from gopub.notify.backends.alertmanager import labels_of
from gopub.notify.message import About
from gopub.plan.model import Outcome
from gopub.spec.projects import parse_projects
from gopub.usecases.alerts import FIRES, MOST, OLDEST, OVER, Alert, words_for
from gopub.usecases.ask import ask_hold, ask_resume, standing_hold
from gopub.wiring import settings
from tasks.pausing import newly_paused
from tests.unit.apikit import PROJECTS, Kit, make_kit

SECRETS = AlertSecrets(tokens=("am-token-1", "am-token-0"), logins=("am:pass:word",))
BEARER = {"Authorization": "Bearer am-token-1"}
FILE = PROJECTS + "alertmanager: {token: {env: AM}, match: {severity: [critical, page]}}\n"


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    made = settings.journal()
    for env in ("prod", "staging"):
        opened = ev.Opened(f"r-{env}", "orders", env, "b" * 64, "2")
        made.append(f"env/orders/{env}", 0, [ev.EnvOpened(f"r-{env}", "b" * 64)], actor="test")
        made.append(f"rollout/r-{env}", 0, [opened], actor="test")
    return made


@pytest.fixture
def kit(tmp_path: Path, journal: Journal) -> Kit:
    return make_kit(tmp_path, projects=FILE, alerts=SECRETS)


def alert(kit: Kit, name: str = "Slow", status: str = "firing", since: float = -60.0, **labels: str) -> dict[str, Any]:
    """One of those in a delivery; ``since`` in seconds from now."""
    begins = datetime.fromtimestamp(kit.clock.now() + since, UTC).isoformat(timespec="milliseconds")
    return {
        "status": status,
        "labels": {"alertname": name, "app": "orders", "env": "prod", "severity": "critical", **labels},
        "annotations": {"summary": f"{name} is up", "runbook_url": "https://runbooks.example/slow"},
        "startsAt": begins.replace("+00:00", "Z"), "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph?g0.expr=up", "fingerprint": "c0ffee5b9a2a1f4e",
    }  # fmt: skip


def payload(*alerts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """As Alertmanager 0.27 sends it."""
    return {"receiver": "gopub", "status": "firing", "alerts": list(alerts), "groupLabels": {"alertname": "Slow"},
            "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://alertmanager.example", "version": "4",
            "groupKey": '{}:{alertname="Slow"}', "truncatedAlerts": 0, **more}  # fmt: skip


async def send(kit: Kit, *alerts: dict[str, Any], headers: dict[str, str] = BEARER, **more: Any) -> Any:
    answer = await kit.client.post("/v1/hooks/alertmanager", json=payload(*alerts, **more), headers=headers)
    return {"http": answer.status_code, **answer.json()}


async def test_what_gopub_told_itself_holds_nothing(kit: Kit, journal: Journal):
    about = About("orders", "prod", "r-prod", "2", "stuck", "stuck/1", holds=True)
    own = {"severity": "critical", **labels_of(about)}
    told = await send(kit, alert(kit, own["alertname"], **own))
    assert (told["http"], told["held"], told["ignored"]) == (200, [], ["GopubStuck: gopub told it"])
    assert standing_hold(journal, "r-prod") is None
    other = {**own, "notice": ""}
    assert (await send(kit, alert(kit, own["alertname"], **other)))["held"] == ["r-prod"], (
        "control: somebody's own rule"
    )


async def test_what_fires_holds_the_rollout_that_it_names_and_its_end_lets_it_go_on(kit: Kit, journal: Journal):
    told = await send(kit, alert(kit))
    assert (told["http"], told["held"], told["ignored"]) == (200, ["r-prod"], [])
    hold = standing_hold(journal, "r-prod")
    assert hold and (hold.actor, hold.reason) == ("alertmanager", "alert Slow fires: Slow is up")
    assert say_hold(hold).startswith("held by alertmanager since ")
    assert standing_hold(journal, "r-staging") is None, "control: another environment's"
    again = await send(kit, alert(kit))
    assert (again["http"], again["held"]) == (200, []), "it repeats what it said"
    assert len(asked(journal, "r-prod")) == 1
    over = await send(kit, alert(kit, status="resolved"))
    assert over["resumed"] == ["r-prod"] and standing_hold(journal, "r-prod") is None
    replayed = await send(kit, alert(kit))
    assert replayed["held"] == [] and standing_hold(journal, "r-prod") is None, "an old delivery holds nothing again"
    assert (await send(kit, alert(kit, since=-1.0)))["held"] == ["r-prod"], "control: it began anew"


async def test_the_hold_stands_until_the_last_one_is_over_and_names_one_that_fires(kit: Kit, journal: Journal):
    await send(kit, alert(kit, "Slow"), alert(kit, "Errors"))
    await send(kit, alert(kit, "Slow", "resolved"))
    hold = standing_hold(journal, "r-prod")
    assert hold and hold.reason == "alert Errors fires: Errors is up"
    assert (await send(kit, alert(kit, "Errors", "resolved")))["resumed"] == ["r-prod"]
    assert [one.what for one in asked(journal, "r-prod")] == [HOLD, FIRES, OVER, HOLD, RESUME]


async def test_it_ends_no_hold_of_a_person_and_a_person_overrides_it(kit: Kit, journal: Journal):
    await send(kit, alert(kit))
    ask_hold(journal, "r-prod", "lunch", actor="ann")
    await send(kit, alert(kit, status="resolved"))
    hold = standing_hold(journal, "r-prod")
    assert hold and hold.actor == "ann", "hers was asked for while the alert held, and stands when that is over"
    await send(kit, alert(kit, "Errors"))
    ask_resume(journal, "r-prod", "it is another service's", actor="ann")
    await send(kit, alert(kit, "Errors"))
    assert standing_hold(journal, "r-prod") is None, "she knew of it; what it repeats holds nothing"
    await send(kit, alert(kit, "Errors", "resolved"))
    assert [one.what for one in asked(journal, "r-prod")] == [HOLD, HOLD, OVER, FIRES, RESUME]


async def test_it_takes_nothing_back(kit: Kit, journal: Journal):
    await send(kit, alert(kit))
    assert [one.what for one in asked(journal, "r-prod")] == [HOLD]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"app": "nosuch"}, "its label app names no app: 'nosuch'"),
        ({"app": "../orders"}, "its label app names no app"),
        ({"env": "nosuch"}, "its label env names no environment of orders: 'nosuch'"),
        ({"env": ""}, "its label env names no environment"),
        ({"severity": "warning"}, "its labels do not match"),
        ({"app": "audit"}, "no rollout of audit in prod is under way"),
    ],
)
async def test_wrong_labels_hold_nothing_and_are_told(kit: Kit, journal: Journal, changed: dict[str, str], why: str):
    told = await send(kit, alert(kit, **changed), alert(kit, "Errors"))
    assert told["http"] == 200 and told["held"] == ["r-prod"], "control: the one beside it counts"
    (said,) = told["ignored"]
    assert why in said
    assert len(asked(journal, "r-prod")) == 1


async def test_what_is_stale_or_not_yet_holds_nothing(kit: Kit, journal: Journal):
    told = await send(kit, alert(kit, since=-OLDEST - 1), alert(kit, "Early", since=3600.0))
    assert len(told["ignored"]) == 2 and asked(journal, "r-prod") == ()
    assert (await send(kit, alert(kit, since=-OLDEST + 1)))["held"] == ["r-prod"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer am-token-2"}, {"Authorization": "Bearer "},
                                     {"Authorization": "Basic YW06cGFzcw=="}, {"Authorization": "Basic %%%"},
                                     {"Authorization": "am-token-1"}])  # fmt: skip
async def test_a_stranger_holds_nothing(kit: Kit, journal: Journal, headers: dict[str, str]):
    told = await send(kit, alert(kit), headers=headers)
    assert told["http"] == 401 and "am-token" not in json.dumps(told)
    assert asked(journal, "r-prod") == ()


async def test_without_configuration_nobody_is_heard(tmp_path: Path, journal: Journal):
    off = make_kit(tmp_path)
    assert (await send(off, alert(off)))["http"] == 401
    assert asked(journal, "r-prod") == ()


def test_both_ways_of_http_config_are_heard_and_a_secret_before_it():
    for given in ("Bearer am-token-0", "bearer am-token-1", "Basic YW06cGFzczp3b3Jk"):
        assert may_tell(SECRETS, given), given
    assert not may_tell(AlertSecrets(), "Bearer ") and not may_tell(None, "Bearer x")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", 422), (b"[]", 422), (json.dumps({"version": "3", "alerts": []}).encode(), 422),
        (json.dumps({"version": "4", "alerts": [{"status": "firing", "labels": {}, "startsAt": "now"}]}).encode(), 422),
        (json.dumps({"version": "4", "alerts": [{"status": "gone", "labels": {}}]}).encode(), 422),
        (b"[" * 100_000, 422), (b" " * (LIMIT + 1), 413), (json.dumps({"version": "4", "alerts": []}).encode(), 200),
    ],
)  # fmt: skip
async def test_what_is_no_delivery_of_it_is_refused(kit: Kit, body: bytes, code: int):
    assert (await kit.client.post("/v1/hooks/alertmanager", content=body, headers=BEARER)).status_code == code


async def test_many_alerts_and_hostile_words_stay_bounded(kit: Kit, journal: Journal):
    loud = alert(kit, "x" * 50_000 + "\n\x1b[2J<@all>")
    loud["annotations"]["summary"] = "y\n" * 50_000
    await send(kit, loud)
    hold = standing_hold(journal, "r-prod")
    assert hold and len(hold.reason) < 1000 and hold.reason.isprintable()
    await send(kit, *[alert(kit, f"a{n}") for n in range(2 * MOST)])
    assert len(asked(journal, "r-prod")) == MOST


async def test_a_rollout_that_goes_back_is_left_alone_and_a_journal_that_is_away_is_asked_again(
    kit: Kit, journal: Journal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    entries = journal.read("rollout/r-prod")
    back = [ev.SeatTaken(1, "a"), ev.GoingBack(Outcome.WITHDRAWN, 0, "x")]
    journal.append("rollout/r-prod", len(entries), back, actor="test")
    assert (await send(kit, alert(kit)))["held"] == [] and asked(journal, "r-prod") == ()
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db" / "journal.db"))
    assert (await send(kit, alert(kit)))["http"] >= 500, "Alertmanager repeats what is answered so, and nothing else"


def test_an_alert_that_is_over_ends_no_pause_in_prefect():
    """Its run was paused while the alert held: without the pause's own hold the rollout would grow behind its back."""
    at = datetime.now(UTC)
    paused = FlowRun(id=uuid4(), flow_id=uuid4(), state=State(type=StateType.PAUSED, name="Paused", timestamp=at))
    over = ev.Asked(RESUME, "alert Slow is over", "alertmanager", at.timestamp() + 1, alert="n@1.000")
    assert newly_paused([paused], (over,)) is paused
    assert newly_paused([paused], (ev.Asked(RESUME, "go", "ann", over.at),)) is None, "control: a person resumed it"


def test_a_name_is_the_labels_and_a_beginning_that_moves_is_the_same():
    """Each of two Prometheus servers tells of its own; Alertmanager takes the first one that it knows."""
    first = words_for((), [Alert("n", 100.0, fires=True, says="a")], 200.0)
    assert words_for(first, [Alert("n", 90.0, fires=True, says="a")], 201.0) == ()
    assert hold_of((*first, *words_for(first, [Alert("n", 90.0, fires=False, says="b")], 202.0))) is None


async def test_an_end_that_comes_late_ends_nothing_that_began_after_it(kit: Kit, journal: Journal):
    first = alert(kit, status="resolved", since=-600.0)
    first["endsAt"] = alert(kit, since=-300.0)["startsAt"]
    assert (await send(kit, alert(kit, since=-60.0)))["held"] == ["r-prod"]
    assert (await send(kit, first))["resumed"] == [] and standing_hold(journal, "r-prod"), "it fires again since"
    now = {**first, "endsAt": alert(kit, since=-1.0)["startsAt"]}
    assert (await send(kit, now))["resumed"] == ["r-prod"], "control: another server's beginning, and an end of now"


async def test_an_end_that_comes_before_its_beginning_leaves_no_hold_that_nobody_ends(kit: Kit, journal: Journal):
    for since in (-60.0, -60.0, -OLDEST - 60.0):
        await send(kit, alert(kit, status="resolved", since=since))
    assert [one.what for one in asked(journal, "r-prod")] == [OVER], "once, and none of what could not hold any more"
    assert (await send(kit, alert(kit)))["held"] == [] and standing_hold(journal, "r-prod") is None
    assert (await send(kit, alert(kit, since=-1.0)))["held"] == ["r-prod"], "control: it began anew"


def test_what_flapped_for_hours_takes_no_room_from_what_fires_now():
    book: tuple[ev.Asked, ...] = ()
    for n in range(MOST):
        for fires in (True, False):
            book += words_for(book, [Alert("flaps", 100.0 * n, fires=fires, says="x")], 100.0 * n)
    book += words_for(book, [Alert("a", 1e6, fires=True, says="a"), Alert("b", 1e6, fires=True, says="b")], 1e6)
    book += words_for(book, [Alert("a", 1e6, fires=False, says="a")], 1e6)
    hold = hold_of(book)
    assert hold and hold.reason == "b", "b fires still"


def test_thousands_of_alerts_in_one_delivery_are_read_in_one_go():
    """As many as a delivery has room for; read anew for each, this took half a minute."""

    class Counted(tuple[ev.Asked, ...]):
        __slots__ = ()
        read = 0

        def __iter__(self):
            Counted.read += 1
            return super().__iter__()

    fired = words_for((), [Alert(f"a{n}", 1.0, fires=True, says="x") for n in range(8000)], 2.0)
    assert len(fired) == MOST
    over = words_for(Counted(fired), [Alert(f"a{n}", 1.0, fires=False, says="x") for n in range(8000)], 3.0)
    assert Counted.read == 1 and hold_of((*fired, *over)) is None
    assert len(over) < 2 * MOST, "ends of what was never heard of leave room for what fires next"


def test_the_file_must_have_a_secret_and_its_references_are_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AM", "am-token-1")
    assert alert_secrets(parse_projects(FILE, "projects.yaml")) == AlertSecrets(("am-token-1",))
    assert alert_secrets(parse_projects(PROJECTS, "projects.yaml")) is None
    for wrong in ("{}", "{username: am}", "{password: {env: AM}}", "{token: {env: AM}, username: am}"):
        with pytest.raises(SpecError, match="GP925"):
            parse_projects(PROJECTS + f"alertmanager: {wrong}\n", "projects.yaml")


async def test_two_hundred_deliveries_at_once_are_all_heard(kit: Kit, journal: Journal):
    """As one outage makes them: each rule fires, and each group of alerts is a delivery of its own."""
    told = await asyncio.gather(*(send(kit, alert(kit, f"Slow{number}")) for number in range(MOST)))
    assert {one["http"] for one in told} == {200}
    said = asked(journal, "r-prod")
    assert {one.reason.split()[1] for one in said} == {f"Slow{number}" for number in range(MOST)}
    assert [one.what for one in said] == [HOLD, *[FIRES] * (MOST - 1)]
    assert [one["held"] for one in told].count(["r-prod"]) == 1
    over = await send(kit, *(alert(kit, f"Slow{number}", "resolved") for number in range(MOST)))
    assert over["resumed"] == ["r-prod"], "none of them was forgotten that would hold it still"
    assert standing_hold(journal, "r-prod") is None
