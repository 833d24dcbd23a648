"""What `gopub doctor` makes of what it saw: findings, each with what to do. Pure.

A check is a function from the facts to its findings, and a line of ``CHECKS``. One that has nothing to look at says
nothing; one that found all well says so in one sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gopub.canon import Json
from gopub.usecases.doctor_facts import Deployed, Facts, Held, Place
from gopub.usecases.doctor_obeying import whom_they_obey

POOL = "gopub"
CLOCK_WARNS, CLOCK_BREAKS = 3.0, 15.0
"""Seconds: a window opens by the clock of whoever looks; the lease of a driver is 30 s."""
FREE_WARNS, FREE_BREAKS = 1 << 30, 100 << 20
"""Bytes that are left where the journal lies."""
LEFT_ALONE = 180.0
"""Seconds after the end of a lease in which `recover` has begun."""
IN_MEMORY = "prefect.server.concurrency.lease_storage.memory"
ON_DISK = "prefect.server.concurrency.lease_storage.filesystem"
NEEDED = {
    "services.scheduler": "no run of promote and recover is made",
    "services.late_runs": "nobody sees that a run is late",
    "services.triggers": "runs whose process is gone stay Running",
    "services.event_persister": "no event of a rollout is kept",
    "services.repossessor": "a limit's place that a dead run held is never given back",
    "services.foreman": "a worker that is gone is shown as there",
}
"""Services of the server, and what is so without each."""


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    BROKEN = "broken"


OK, WARN, BROKEN = Severity.OK, Severity.WARN, Severity.BROKEN


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence for people, what was seen, and what to do (a command, where one does it)."""

    check: str
    severity: Severity
    says: str
    seen: str = ""
    do: str = ""

    def to_json(self) -> dict[str, Json]:
        """As a part of the document of `gopub doctor --json`."""
        return {"check": self.check, "severity": self.severity.value, "says": self.says, "seen": self.seen,
                "do": self.do}  # fmt: skip


SETUP, PREFECT = "{setup}", "{prefect}"
"""In what is to be done: the two commands that have to be told of a server, see `_command`."""

Said = tuple[Severity, str, str, str]
Check = Callable[[Facts], Iterable[Said]]


def packages(facts: Facts) -> Iterator[Said]:
    """Whether what Prefect stands on is what was tested: with other versions it starts, and makes no runs."""
    wrong = [one for one in facts.packages if not one.fits]
    for one in wrong:
        yield (BROKEN, f"{one.name} is in a version that gopub was not tested with",
               f"{one.installed}, not {one.wanted}", "install gopub from its requirements.lock")  # fmt: skip
    if facts.packages and not wrong:
        yield (
            OK,
            "Prefect and what it stands on are as tested",
            _list(f"{p.name} {p.installed}" for p in facts.packages),
            "",
        )


def server(facts: Facts) -> Iterator[Said]:
    """Whether the server is reached, and is of the version that gopub speaks."""
    one = facts.server
    if one is None:
        yield (OK, "no Prefect server is set up: flows run in the command's own process", "PREFECT_API_URL is not set",
               "a server adds schedules, webhooks and pages: gopub setup --server URL")  # fmt: skip
    elif one.refuses_login:
        do = "set PREFECT_API_AUTH_STRING=USER:PASSWORD"
        yield BROKEN, "the Prefect server wants a login", f"{one.url}: 401", do
    elif one.trouble:
        yield (BROKEN, "the Prefect server does not answer", f"{one.url}: {one.trouble}",
               "is it up, and is PREFECT_API_URL right? `gopub rollback` works without it")  # fmt: skip
    elif one.version != one.client:
        yield (WARN, "the Prefect server is of another version than this machine's Prefect",
               f"{one.version} there, {one.client} here", "install both from gopub's requirements.lock")  # fmt: skip
    else:
        yield OK, "the Prefect server answers", f"{one.url}, {one.version}", ""


def settings(facts: Facts) -> Iterator[Said]:
    """Whether the server is set as gopub needs it."""
    known = facts.server.settings if facts.server else {}
    if not known:
        return
    for name, without in NEEDED.items():
        if known.get(name) is False:
            variable = f"PREFECT_SERVER_{name.upper().replace('.', '_')}_ENABLED=true"
            yield BROKEN, f"a service of the server is off: {without}", f"{name} is off", f"start it with {variable}"
    if known.get("concurrency.lease_storage") == IN_MEMORY:
        yield (WARN, "the server keeps leases in memory: a run that dies together with it keeps its place for ever",
               str(known["concurrency.lease_storage"]),
               f"start it with PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE={ON_DISK}")  # fmt: skip
    if known.get("analytics_enabled") is True:
        yield (WARN, "the server tells its maker that it runs", "analytics_enabled is on",
               "start it with PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1")  # fmt: skip


def clocks(facts: Facts) -> Iterator[Said]:
    """Whether all clocks agree: windows, leases and signatures go by them."""
    off = [one for one in facts.clocks if abs(one.ahead) - one.within > CLOCK_WARNS]
    for one in off:
        side = "ahead of" if one.ahead > 0 else "behind"
        bad = BROKEN if abs(one.ahead) - one.within > CLOCK_BREAKS else WARN
        yield (bad, f"the clock of {one.whose} is {abs(one.ahead):.0f} s {side} this machine's",
               "windows, leases and signatures go by clocks", "set both by NTP: timedatectl set-ntp true")  # fmt: skip
    if facts.clocks and not off:
        yield OK, "the clocks agree", _list(f"{one.whose} {one.ahead:+.1f} s" for one in facts.clocks), ""


def workers(facts: Facts) -> Iterator[Said]:
    """Whether somebody takes runs up."""
    if facts.workers is None:
        return
    there = [one for one in facts.workers if one.online]
    gone = [f"{one.name} was heard of {one.heard:.0f} s ago" for one in facts.workers if not one.online]
    if there:
        yield OK, "workers take up runs", _list(one.name for one in there), ""
    else:
        start = f"start one: {PREFECT} worker start --pool {POOL} (`{SETUP}` prints the whole command)"
        or_else = "If one is there, the server cannot write what it says: look into its log, and at its database's disk"
        yield BROKEN, "no worker takes up runs", _list(gone) or f"the pool {POOL} has none", f"{start}. {or_else}"


def worker_version(facts: Facts) -> Iterator[Said]:
    """Whether workers run the gopub that set the server up, and both are this one."""
    ran = {one.ran for one in facts.deployed if one.ran}
    if other := sorted(ran - {facts.gopub}):
        yield (WARN, "a worker ran another gopub than this one", f"{_list(other)} there, {facts.gopub} here",
               "update the workers one after the other: docs/guides/update.md")  # fmt: skip
    made = {one.version for one in facts.deployed if one.version}
    if other := sorted(made - {facts.gopub}):
        yield WARN, "another gopub set the server up", f"{_list(other)} there, {facts.gopub} here", SETUP


def places(facts: Facts) -> Iterator[Said]:
    """Whether pool and queues let runs through."""
    for one in facts.places:
        name, resume = _named(one)
        if not one.there:
            yield BROKEN, f"there is no {name}", "the server has none of that name", SETUP
        elif one.paused:
            yield BROKEN, f"the {name} is paused: nothing of it is taken up", "somebody paused it", resume
        elif one.limit == 0:
            yield (BROKEN, f"the {name} lets nothing through: what comes next waits for ever", "its limit is 0",
                   _widen(one))  # fmt: skip
        elif one.limit is not None and one.busy >= one.limit:
            yield (BROKEN, f"the {name} is full: what comes next waits for a rollout's end",
                   f"{one.busy} runs are under way, its limit is {one.limit}", _widen(one))  # fmt: skip
        elif one.limit is not None:
            yield (WARN, f"the {name} has a limit: a rollout keeps its place for as long as it bakes",
                   f"{one.busy} of {one.limit} are taken", _widen(one))  # fmt: skip


def deployments(facts: Facts) -> Iterator[Said]:
    """Whether every deployment is as setup makes it, and what is to run by itself does."""
    bad = [said for one in facts.deployed for said in _of_deployment(one)]
    yield from bad
    if facts.deployed and not bad:
        yield OK, "the deployments are as setup makes them", _list(one.name for one in facts.deployed), ""


def automations(facts: Facts) -> Iterator[Said]:
    """Whether runs whose process is gone are marked."""
    for one in facts.automations:
        if not one.there:
            yield WARN, "an automation is missing", one.name, SETUP
        elif not one.enabled:
            # Switched on again it would hold what it expected before against runs that live: made anew it does not.
            anew = f"{PREFECT} automation delete --id {one.id} && {SETUP}"
            yield WARN, "an automation is switched off", one.name, anew
        elif not one.same:
            yield WARN, "an automation is not as setup makes it", one.name, SETUP


def limits(facts: Facts) -> Iterator[Said]:
    """Whether limits hold up what they should not: places of the dead."""
    for one in facts.limits:
        yield from _of_limit(one)


def stuck(facts: Facts) -> Iterator[Said]:
    """Whether runs do not get on."""
    told = {
        "Late": ("runs are late: nobody takes them up", "is a worker there? `gopub recover` needs none"),
        "Pending": ("runs were taken up and did not begin", "look into the worker's log; `gopub recover` needs none"),
        "Running": ("runs are Running and their processes are silent", "gopub recover"),
    }
    for state, (says, do) in told.items():
        found = [one for one in facts.stuck if one.state == state]
        if found:
            yield WARN, says, _list(f"{one.name} for {one.since:.0f} s" for one in found), do


def houses(facts: Facts) -> Iterator[Said]:
    """Whether several houses share the server: its workers take up the runs of all of them, whoever asked."""
    if len(facts.houses) > 1:
        do = "give each a server of its own, or all workers one projects.yaml and one journal"
        says = "several houses have set this server up: any worker of the pool takes up the runs of each"
        yield WARN, says, _list(facts.houses), do


def journal(facts: Facts) -> Iterator[Said]:
    """Whether the journal is there, can be read and written, and has room."""
    one = facts.journal
    if one is None:
        return
    free = one.free
    size = f"{one.place}, {_bytes(one.size)}" if one.size else one.place
    scarce = free is not None and free < FREE_WARNS
    if free is not None and scarce:
        yield (BROKEN if free < FREE_BREAKS else WARN, "the disk of the journal is nearly full",
               f"{size}, {_bytes(free)} are left", "make room: a rollout that cannot write stops")  # fmt: skip
    if one.trouble:
        yield BROKEN, "the journal cannot be opened", f"{one.place}: {one.trouble}", one.hint
    elif one.unwritable:
        yield BROKEN, "the journal can be read, and takes no entry", f"{one.place}: {one.unwritable}", one.hint
    elif not one.there and one.named:
        yield (WARN, "the journal that GOPUB_JOURNAL names is not there", one.place,
               "before the first rollout that is so; later it is lost: bring it back from the backup")  # fmt: skip
    elif not one.there:
        yield OK, "there is no journal yet: the first rollout makes it", one.place, ""
    elif not scarce:
        yield OK, "the journal is there", size, ""


def left(facts: Facts) -> Iterator[Said]:
    """Whether rollouts are without a driver for longer than `recover` needs."""
    for one in facts.journal.left if facts.journal else ():
        if not one.waits and one.since > LEFT_ALONE:
            yield (BROKEN, f"nobody drives the rollout of {one.app} in {one.env}",
                   f"{one.rollout}: its driver's lease ended {one.since:.0f} s ago", "gopub recover")  # fmt: skip


def people(facts: Facts) -> Iterator[Said]:
    """Whether somebody who is to be told of rollouts does not take it."""
    for one in facts.journal.untold if facts.journal else ():
        yield WARN, "somebody was not told of a rollout", one, "gopub notify test ENV, which says what comes back"


def connections(facts: Facts) -> Iterator[Said]:
    """Whether each connection answers, lets us in, and gives what is read."""
    for one in facts.connections:
        name = f"{one.kind} {one.name}" if one.kind and one.kind != one.name else one.name
        bad = (BROKEN, f"{name} cannot be used", one.trouble, one.hint)
        yield bad if one.trouble else (OK, f"{name} answers", one.says, "")


def enrolment(facts: Facts) -> Iterator[Said]:
    """Whom the hosts obey."""
    for fine, says, seen, do in whom_they_obey(facts.obeying):
        yield OK if fine else WARN, says, seen, do


def receiver(facts: Facts) -> Iterator[Said]:
    """Whether webhooks and the REST API are heard."""
    one = facts.receiver
    if one is None:
        return
    if one.trouble:
        yield BROKEN, "the receiver of webhooks does not answer", f"{one.url}: {one.trouble}", "start it: gopub serve"
    elif one.waiting:
        yield WARN, "deliveries wait to be started", f"{one.waiting} at {one.url}", "does its Prefect server answer?"
    else:
        yield OK, "the receiver of webhooks answers", one.url, ""


def unseen(facts: Facts) -> Iterator[Said]:
    """What could not be looked at."""
    for one in facts.unseen:
        yield WARN, f"{one.what} could not be looked at", one.why, ""


CHECKS: tuple[tuple[str, Check], ...] = (
    ("packages", packages),
    ("server", server),
    ("settings", settings),
    ("clocks", clocks),
    ("workers", workers),
    ("worker version", worker_version),
    ("houses", houses),
    ("places", places),
    ("deployments", deployments),
    ("automations", automations),
    ("limits", limits),
    ("stuck runs", stuck),
    ("journal", journal),
    ("left alone", left),
    ("people", people),
    ("connections", connections),
    ("enrolment", enrolment),
    ("receiver", receiver),
    ("not looked at", unseen),
)


def examine(facts: Facts, checks: Sequence[tuple[str, Check]] = CHECKS) -> list[Finding]:
    """Every finding, in the order of the checks."""
    return [
        Finding(name, severity, says, seen, _command(do, facts.named))
        for name, check in checks
        for severity, says, seen, do in check(facts)
    ]


def worst(findings: Iterable[Finding]) -> Severity:
    """The worst of them."""
    order = list(Severity)
    return max((one.severity for one in findings), key=order.index, default=OK)


def _command(do: str, server: str) -> str:
    """What is to be done, for whoever named a server on the command line alone: without it it would go elsewhere."""
    setup = f"gopub setup --server {server}" if server else "gopub setup"
    prefect = f"PREFECT_API_URL={server} prefect" if server else "prefect"
    return do.replace(SETUP, setup).replace(PREFECT, prefect)


def _of_deployment(one: Deployed) -> Iterator[Said]:
    what = f"the deployment {one.name}"
    if not one.there:
        yield BROKEN, f"{what} is missing", "the server has none of that name", SETUP
        return
    if one.differs:
        yield WARN, f"{what} is not as setup makes it", f"other: {_list(one.differs)}", SETUP
    if one.scheduled and (one.paused or one.paused_schedule):
        resume = f"{PREFECT} deployment schedule resume {one.name}/{one.name} {one.paused_schedule}"
        yield (BROKEN, f"{what} does not run by itself: what waits or was lost is not gone on with",
               "the deployment is paused" if one.paused else "its schedule is paused",
               "resume it on its page in Prefect" if one.paused else resume)  # fmt: skip
    elif one.scheduled and not one.coming:
        yield (BROKEN, f"{what} has a schedule, and the server makes no runs for it", "no run is scheduled",
               "look into the server's log: with SQLAlchemy 2.1 it makes none, and says so only there")  # fmt: skip


def _of_limit(one: Held) -> Iterator[Said]:
    if not one.there:
        yield BROKEN, f"the limit {one.name} is missing: no release builds", "none of that name", SETUP
    elif one.limit < 1:
        yield (
            BROKEN,
            f"the limit {one.name} lets nothing through",
            "it is 0",
            f"{PREFECT} gcl update {one.name} --limit 2",
        )
    elif one.taken > one.could:
        yield (WARN, f"places of the limit {one.name} are held by runs that are gone",
               f"{one.taken:g} of {one.limit} are taken, {one.could} runs are under way",
               f"wait five minutes, then: {PREFECT} gcl update {one.name} --active-slots {one.could}")  # fmt: skip


def _named(one: Place) -> tuple[str, str]:
    """What it is called, and what lets a paused one go on."""
    if one.queue:
        return f"queue {one.queue}", f"{PREFECT} work-queue resume {one.queue} --pool {POOL}"
    return f"pool {POOL}", f"{PREFECT} work-pool resume {POOL}"


def _widen(one: Place) -> str:
    if one.queue:
        return f"{PREFECT} work-queue clear-concurrency-limit {one.queue} --pool {POOL}"
    return f"{PREFECT} work-pool clear-concurrency-limit {POOL}"


def _list(texts: Iterable[str]) -> str:
    """At most six of them on one line."""
    every = list(texts)
    return ", ".join(every[:6]) + (f" and {len(every) - 6} more" if len(every) > 6 else "")


def _bytes(size: int) -> str:
    for unit, one in (("GB", 1 << 30), ("MB", 1 << 20)):
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size / 1024:.0f} kB"
