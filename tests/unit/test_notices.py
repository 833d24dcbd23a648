"""What a rollout tells other programs: one event for what happened, with an id that follows from the journal."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from importlib.resources import files
from typing import cast

import pytest
from jsonschema import Draft202012Validator
from prefect.events.clients import AssertingEventsClient
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from gopub.canon import Json, canonical
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.plan.model import Outcome
from gopub.telemetry import REDACTOR
from gopub.views.notice_schemas import schema
from gopub.views.notices import (
    ApprovalNeeded,
    Ended,
    HostOwed,
    Noticing,
    Step,
    Verdict,
    names,
    notices,
    payload_schemas,
)
from tasks.announcing import announce, masked
from tests.unit.verdicts import BAKING, LOW, drawn, event
from tests.unit.views_world import moving

MOVING = moving("r-1", "hello", "prod")
BACK = ev.GoingBack(Outcome.ROLLED_BACK, 3, "errors")


def entries(events: list[ev.Event]) -> list[Entry]:
    return [Entry(n, "rollout/r-1", n + 1, one, "ann", "", 1000.0 + n, "") for n, one in enumerate(events)]


def named(events: list[ev.Event]) -> list[str]:
    return [one.name for one in notices(entries(events))]


def test_a_rollout_that_is_taken_back_tells_what_happened_in_order():
    events = [*MOVING, event(drawn(score=LOW)), BACK, ev.HostOwed("app1", "silent"), ev.TrafficOff(1.0),
              ev.Closed(Outcome.ROLLED_BACK, "errors", ("app1",))]  # fmt: skip
    made = notices(entries(events))
    assert [one.name for one in made] == [
        "gopub.rollout.opened", "gopub.host.switched", "gopub.rollout.step", "gopub.rollout.verdict",
        "gopub.host.owed", "gopub.rollout.rolled-back",
    ]  # fmt: skip
    assert made[-1].payload == Ended("2.0.0", "errors", ("app1",), ())
    assert made[-2].payload == HostOwed("app1", "silent")
    assert ("host", "gopub.host.app1") in made[-2].related
    assert {one.related[:2] for one in made} == {(("app", "gopub.app.hello"), ("env", "gopub.env.hello.prod"))}
    assert made[0].data() == {"version": "2.0.0", "release": "b" * 64, "actor": "ann", "reason": "because | of <it>"}


def test_looks_that_change_nothing_tell_nothing():
    same = [event(drawn(BAKING | {"observed": float(n)})) for n in range(50)]
    made = notices(entries([*MOVING, *same, event(drawn(score=LOW))]))
    assert [one.payload.kind for one in made if isinstance(one.payload, Verdict)] == ["HOLD", "HOLD"]


def test_an_approval_is_asked_for_once_and_only_where_it_alone_is_missing():
    due = event(drawn({"gate": "step 2 waits for the approval of ops"}))
    assert due.kind == "PROMOTE"
    made = notices(entries([*MOVING, due, due, due]))
    assert [one.payload for one in made if isinstance(one.payload, ApprovalNeeded)] == [ApprovalNeeded(2, 2, "ops")]
    assert "gopub.approval.needed" not in named([*MOVING, event(drawn(BAKING))]), "it still bakes"
    assert "gopub.approval.needed" not in named([*MOVING, event(drawn())]), "it was approved before"


def test_the_same_journal_gives_the_same_ids_whoever_reads_it():
    whole = entries([*MOVING, event(drawn(score=LOW)), BACK])
    ids = [one.id for one in notices(whole)]
    assert len(set(ids)) == len(ids)
    live = Noticing()
    assert [one.id for entry in whole for one in live.after(replace(entry, at=entry.at + 0.3, seq=0))] == ids


def test_another_entry_in_the_same_place_has_another_id():
    """A driver told of what the journal never took, and died: what stands there now is no event that was sent."""
    lost, kept = ([*MOVING, BACK, ev.HostOwed(name, "silent")] for name in ("app1", "app2"))
    assert notices(entries(lost))[-1].id != notices(entries(kept))[-1].id
    assert notices(entries(lost))[-1].id == notices(entries(lost))[-1].id


@pytest.mark.parametrize("begin", range(1, 25))
def test_what_is_read_from_the_middle_is_the_end_of_the_whole(begin: int):
    """A rollout of days is not looked through again each minute: what is old is only known."""
    due = event(drawn({"gate": "step 2 waits for the approval of ops"}))
    whole = entries([*MOVING, *[event(drawn(BAKING))] * 3, event(drawn(score=LOW)), due, due, BACK])
    since = 1000.0 + begin
    assert notices(whole, since) == tuple(one for one in notices(whole) if one.at >= since)


def test_every_name_has_a_schema_that_says_what_it_is_and_the_kept_file_has_them():
    schemas = cast("dict[str, dict[str, Json]]", payload_schemas())
    assert len(names()) == 15
    assert all(one["properties"] and str(one["description"]).startswith("``gopub.") for one in schemas.values())
    kept = json.loads(files("gopub.schemas").joinpath("events.v1.json").read_text("utf-8"))
    assert kept == schema(), "mend with: python -m gopub.views.notice_schemas"


def test_what_is_told_keeps_to_the_schema():
    check = Draft202012Validator(schema())
    due = event(drawn({"gate": "step 2 waits for the approval of ops"}))
    failed, owed = ev.HostFailed("app1", "switch", "GP340", "no"), ev.HostOwed("app1", "silent")
    whole = [*MOVING[:6], failed, *MOVING[6:], due, BACK, owed, ev.TrafficOff(1.0), ev.Closed(Outcome.ROLLED_BACK)]
    made = notices(entries(whole))
    assert len({one.name for one in made}) == 8
    for one in made:
        check.validate({"event": one.name, "payload": one.data()})
    assert not check.is_valid({"event": "gopub.rollout.opened", "payload": {"version": 1}}), "control"


def test_a_secret_in_a_hosts_words_reaches_no_event():
    REDACTOR.learn("correct-horse-battery")
    assert masked({"message": "login correct-horse-battery", "owed": ["correct-horse-battery"], "step": 1}) == {
        "message": "login **********", "owed": ["**********"], "step": 1,
    }  # fmt: skip


def test_a_text_that_is_too_long_for_a_server_is_told_shortened():
    told = masked({"reason": "x" * 3_000_000, "message": "two\nlines", "hosts": ["y" * 3_000_000]})
    assert (len(str(told["reason"])), str(told["reason"])[-1], told["message"]) == (10_000, "…", "two\nlines")
    assert len(canonical(told)) < 100_000


def test_an_event_that_the_server_would_not_take_stops_no_other(caplog):
    made = notices(entries(MOVING))
    large = replace(made[1], payload=Step(1, 1, tuple(f"host-{n:040}" for n in range(40_000)), 1.0))
    EventsWorker.set_client_override(AssertingEventsClient)
    AssertingEventsClient.reset()
    try:
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), caplog.at_level(logging.WARNING):
            announce([made[0], large, made[2]])
            EventsWorker.instance().drain()
    finally:
        EventsWorker.set_client_override(None)
    assert [one.id for client in AssertingEventsClient.all for one in client.events] == [made[0].id, made[2].id]
    assert "gopub.host.switched of r-1 is not told as an event" in caplog.text
