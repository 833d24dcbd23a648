"""What `gopub doctor` finds: each finding by the fact that makes it, and none where all is well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gopub.usecases.doctor import CHECKS, IN_MEMORY, NEEDED, ON_DISK, Finding, Severity, examine, worst
from gopub.usecases.doctor_facts import (
    Automation,
    Clock,
    Connected,
    Deployed,
    Facts,
    Held,
    JournalSeen,
    Left,
    Obeys,
    Package,
    Place,
    Receiver,
    Server,
    Stuck,
    Unseen,
    Worker,
)

OK, WARN, BROKEN = Severity.OK, Severity.WARN, Severity.BROKEN
ON = dict.fromkeys(NEEDED, True)
SERVER = Server("http://prefect:4200/api", version="3.8.8", client="3.8.8",
                settings={**ON, "concurrency.lease_storage": ON_DISK, "analytics_enabled": False})  # fmt: skip
RECOVER = Deployed("recover", scheduled=True, coming=1, version="1.0.0", ran="1.0.0")
JOURNAL = JournalSeen("/var/lib/gopub/journal.db", size=1 << 20, free=100 << 30)
WELL = Facts(
    "1.0.0",
    packages=(Package("prefect", "3.8.8", "==3.8.8", fits=True),),
    server=SERVER,
    clocks=(Clock("the Prefect server", 0.4),),
    workers=(Worker("w1", 3.0, online=True), Worker("old", 9000.0, online=False)),
    places=(Place(), Place("default"), Place("urgent")),
    limits=(Held("gopub-build", limit=2, taken=1, could=1),),
    deployed=(RECOVER, Deployed("deploy", version="1.0.0")),
    automations=(Automation("watchdog"),),
    journal=JOURNAL,
    connections=(Connected("minio", "s3", "3 version(s) of orders are published"),),
    obeying=(Obeys("app1", 7), Obeys("app2", 7), Obeys("edge1")),
    receiver=Receiver("http://127.0.0.1:8420"),
)


def found(facts: Facts) -> list[Finding]:
    return [one for one in examine(facts) if one.severity is not OK]


def test_a_house_that_is_well_has_no_finding_and_each_check_that_looked_says_so() -> None:
    assert found(WELL) == []
    assert worst(examine(WELL)) is OK
    said = {one.check for one in examine(WELL)}
    assert {
        "packages",
        "server",
        "clocks",
        "workers",
        "deployments",
        "journal",
        "connections",
        "enrolment",
        "receiver",
    } <= said


def test_with_no_server_and_no_project_there_is_nothing_wrong() -> None:
    assert found(Facts("1.0.0", journal=JournalSeen("/j", free=100 << 30))) == []
    assert found(Facts("1.0.0")) == []


FAULTS = [
    ("enrolment", replace(WELL, obeying=(Obeys("app1", 6), Obeys("app2", 7))), WARN, "host roles"),
    ("enrolment", replace(WELL, obeying=(Obeys("app1", 7, own=False), Obeys("app2"))), WARN, "host upgrade"),
    ("packages", replace(WELL, packages=(Package("sqlalchemy", "2.1.0", "<2.1", fits=False),)), BROKEN, "requirements"),
    ("server", replace(WELL, server=Server("http://x/api", "ConnectError")), BROKEN, "PREFECT_API_URL"),
    ("server", replace(WELL, server=Server("http://x/api", "401", refuses_login=True)), BROKEN, "API_AUTH_STRING"),
    ("server", replace(WELL, server=replace(SERVER, version="3.9.1")), WARN, "requirements.lock"),
    *[
        ("settings", replace(WELL, server=replace(SERVER, settings={**ON, name: False})), BROKEN,
         f"PREFECT_SERVER_{name.upper().replace('.', '_')}_ENABLED=true")
        for name in NEEDED
    ],
    ("settings", replace(WELL, server=replace(SERVER, settings={"concurrency.lease_storage": IN_MEMORY})), WARN,
     ON_DISK),
    ("settings", replace(WELL, server=replace(SERVER, settings={"analytics_enabled": True})), WARN, "ANALYTICS"),
    ("clocks", replace(WELL, clocks=(Clock("edge e1", -7.0),)), WARN, "NTP"),
    ("clocks", replace(WELL, clocks=(Clock("edge e1", 42.0),)), BROKEN, "NTP"),
    ("workers", replace(WELL, workers=(Worker("w1", 600.0, online=False),)), BROKEN,
     "prefect worker start --pool gopub"),
    ("workers", replace(WELL, workers=()), BROKEN, "prefect worker start --pool gopub"),
    ("worker version", replace(WELL, deployed=(replace(RECOVER, ran="0.9.0"),)), WARN, "update.md"),
    ("worker version", replace(WELL, deployed=(replace(RECOVER, version="0.9.0"),)), WARN, "gopub setup"),
    ("places", replace(WELL, places=(Place(there=False),)), BROKEN, "gopub setup"),
    ("places", replace(WELL, places=(Place(limit=0),)), BROKEN, "prefect work-pool clear-concurrency-limit gopub"),
    ("places", replace(WELL, places=(Place(paused=True),)), BROKEN, "prefect work-pool resume gopub"),
    ("places", replace(WELL, places=(Place("urgent", paused=True),)), BROKEN,
     "prefect work-queue resume urgent --pool gopub"),
    ("places", replace(WELL, places=(Place(limit=2, busy=2),)), BROKEN,
     "prefect work-pool clear-concurrency-limit gopub"),
    ("places", replace(WELL, places=(Place("urgent", limit=9, busy=2),)), WARN,
     "prefect work-queue clear-concurrency-limit urgent --pool gopub"),
    ("deployments", replace(WELL, deployed=(replace(RECOVER, there=False),)), BROKEN, "gopub setup"),
    ("deployments", replace(WELL, deployed=(replace(RECOVER, differs=("tags",)),)), WARN, "gopub setup"),
    ("deployments", replace(WELL, deployed=(replace(RECOVER, paused_schedule="a-1"),)), BROKEN,
     "prefect deployment schedule resume recover/recover a-1"),
    ("deployments", replace(WELL, deployed=(replace(RECOVER, paused=True),)), BROKEN, "resume it"),
    ("deployments", replace(WELL, deployed=(replace(RECOVER, coming=0),)), BROKEN, "SQLAlchemy 2.1"),
    ("automations", replace(WELL, automations=(Automation("watchdog", there=False),)), WARN, "gopub setup"),
    ("automations", replace(WELL, automations=(Automation("watchdog", "i-1", enabled=False),)), WARN,
     "prefect automation delete --id i-1 && gopub setup"),
    ("automations", replace(WELL, automations=(Automation("watchdog", same=False),)), WARN, "gopub setup"),
    ("limits", replace(WELL, limits=(Held("gopub-build", there=False),)), BROKEN, "gopub setup"),
    ("limits", replace(WELL, limits=(Held("gopub-build", limit=0),)), BROKEN,
     "prefect gcl update gopub-build --limit 2"),
    ("limits", replace(WELL, limits=(Held("gopub-build", limit=2, taken=2, could=1),)), WARN,
     "prefect gcl update gopub-build --active-slots 1"),
    *[
        ("stuck runs", replace(WELL, stuck=(Stuck("i", "recover", state, 200.0),)), WARN, "recover")
        for state in ("Late", "Pending", "Running")
    ],
    ("journal", replace(WELL, journal=JournalSeen("pg://j", "GP701 refused", "is it up?")), BROKEN, "is it up?"),
    ("journal", replace(WELL, journal=replace(JOURNAL, free=500 << 20)), WARN, "make room"),
    ("journal", replace(WELL, journal=replace(JOURNAL, free=10 << 20)), BROKEN, "make room"),
    ("journal", replace(WELL, journal=replace(JOURNAL, there=False, named=True)), WARN, "back from the backup"),
    ("journal", replace(WELL, journal=replace(JOURNAL, unwritable="GP701 database is locked", hint="who holds it?")),
     BROKEN, "who holds it?"),
    ("houses", replace(WELL, houses=("trade", "web")), WARN, "a server of its own"),
    ("left alone", replace(WELL, journal=replace(JOURNAL, left=(Left("r-1", "a", "prod", 300.0),))), BROKEN,
     "gopub recover"),
    ("people", replace(WELL, journal=replace(JOURNAL, untold=("room was not told: x",))), WARN, "gopub notify test"),
    ("connections", replace(WELL, connections=(Connected("minio", "s3", "", "GP342 denied", "give it"),)), BROKEN,
     "give it"),
    ("receiver", replace(WELL, receiver=Receiver("http://x", "refused")), BROKEN, "gopub serve"),
    ("receiver", replace(WELL, receiver=Receiver("http://x", waiting=3)), WARN, "Prefect server"),
    ("not looked at", replace(WELL, unseen=(Unseen("the limits", "no answer within 15 s"),)), WARN, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "facts", "severity", "do"), FAULTS, ids=[f"{one[0]}-{i}" for i, one in enumerate(FAULTS)]
)
def test_each_fault_is_one_finding_with_what_to_do(check: str, facts: Facts, severity: Severity, do: str) -> None:
    [one] = found(facts)
    assert (one.check, one.severity) == (check, severity)
    assert do in one.do
    assert one.says
    assert "\n" not in one.says + one.seen + one.do
    assert worst(examine(facts)) is severity


def test_every_check_has_a_fault_that_it_finds() -> None:
    assert {one[0] for one in FAULTS} == {name for name, _ in CHECKS}


@pytest.mark.parametrize(
    "facts",
    [
        replace(WELL, clocks=(Clock("edge e1", 7.0, within=6.0),)),  # it took so long to ask
        replace(WELL, journal=replace(JOURNAL, left=(Left("r-1", "a", "prod", 100.0),))),  # recover is about to
        replace(WELL, journal=replace(JOURNAL, left=(Left("r-1", "a", "prod", 9e5, waits=True),))),  # for its window
        replace(WELL, server=replace(SERVER, settings={})),  # a server that tells none
        replace(WELL, journal=replace(JOURNAL, there=False)),  # the default place, before the first rollout
        replace(WELL, houses=("trade",)),
    ],
)
def test_what_is_no_fault(facts: Facts) -> None:
    assert found(facts) == []


def test_a_check_more_is_one_function_and_one_line() -> None:
    more = (*CHECKS, ("moon", lambda _facts: [(WARN, "the moon is full", "", "wait")]))
    assert Finding("moon", WARN, "the moon is full", "", "wait") in examine(WELL, more)


def test_a_limit_of_none_is_no_full_one():
    """Nobody's end makes room in it: it was said to wait for a rollout's end, with no rollout under way."""
    [none] = [one for one in examine(replace(WELL, places=(Place(limit=0),))) if one.check == "places"]
    assert none.says == "the pool gopub lets nothing through: what comes next waits for ever"
    [full] = [one for one in examine(replace(WELL, places=(Place(limit=1, busy=1),))) if one.check == "places"]
    assert full.says == "the pool gopub is full: what comes next waits for a rollout's end", "control"


def test_a_journal_that_is_missing_is_not_said_to_be_there():
    """It was: "the journal is there", with the path of a file that nobody had."""
    [lost] = [one for one in examine(replace(WELL, journal=replace(JOURNAL, there=False))) if one.check == "journal"]
    assert (lost.says, lost.seen) == ("there is no journal yet: the first rollout makes it", JOURNAL.place)
    [there] = [one for one in examine(WELL) if one.check == "journal"]
    assert there.says == "the journal is there", "control"


def test_a_full_disk_is_told_beside_the_journal_that_cannot_be_opened_for_it():
    """What SQLite says then is "unable to open database file", and the disk was not mentioned."""
    bad = replace(WELL, journal=replace(JOURNAL, free=0, trouble="GP701 unable to open database file"))
    assert [one.says for one in found(bad)] == [
        "the disk of the journal is nearly full",
        "the journal cannot be opened",
    ]


@pytest.mark.parametrize(
    ("facts", "do"),
    [
        (replace(WELL, places=(Place(paused=True),)), "PREFECT_API_URL={} prefect work-pool resume gopub"),
        (replace(WELL, places=(Place(there=False),)), "gopub setup --server {}"),
        (replace(WELL, automations=(Automation("watchdog", "i-1", enabled=False),)),
         "PREFECT_API_URL={0} prefect automation delete --id i-1 && gopub setup --server {0}"),
    ],
)  # fmt: skip
def test_a_server_that_the_command_line_alone_names_is_named_in_what_is_to_be_done(facts: Facts, do: str):
    """Copied as it was, each went to the server of the profile, or to none."""
    url = "http://other:4200/api"
    assert [one.do for one in found(replace(facts, named=url))] == [do.format(url)]
    assert [one.do for one in found(facts) if url in one.do] == [], "control"


def test_nothing_is_left_to_be_filled_in():
    told = [one.do + one.says + one.seen for _, facts, *_ in FAULTS for one in examine(facts)]
    assert [text for text in told if "{" in text] == []


def test_of_hosts_it_says_whom_they_obey_and_names_few() -> None:
    many = tuple(Obeys(f"app{n:02}") for n in range(20))
    (said,) = (one for one in examine(replace(Facts("1.0.0"), obeying=many)) if one.check == "enrolment")
    assert (said.severity, said.says) == (OK, "20 of 20 hosts are unpinned")
    assert said.seen == "app00, app01, app02, app03, app04, app05, app06, app07 and 12 more: whoever may log in orders"
    mixed = [one.says for one in examine(WELL) if one.check == "enrolment"]
    assert mixed == ["1 of 3 hosts are unpinned", "2 of 3 hosts are enrolled"]
