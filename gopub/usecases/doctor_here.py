"""What `gopub doctor` looks at without Prefect: packages, the journal, the project's connections, hosts, the receiver.

Nothing is written: a journal that is not there yet is not made, and a store is listed.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import tomllib
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from gopub.canon import sha256
from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.fleet.host import Host
from gopub.fleet.orders import Order
from gopub.fleet.program import enrolled
from gopub.fleet.protocol import HostChannel
from gopub.health.samples import NoData
from gopub.health.sources import MetricsConnection, OwnSource
from gopub.journal.database import file_of, shown
from gopub.journal.store import Journal
from gopub.paths import project_root
from gopub.spec.kinds import Connection, RouterKind
from gopub.spec.models import Environment
from gopub.spec.references import EDGES
from gopub.store.keys import version_key
from gopub.store.protocol import MISSING, ArtifactStore
from gopub.usecases.doctor_facts import Clock, Connected, Facts, JournalSeen, Left, Obeys, Package, Receiver
from gopub.usecases.doctor_looking import Look, why
from gopub.usecases.recover import active
from gopub.views.untold import read_untold
from gopub.wiring import settings
from gopub.wiring.guard import in_time
from gopub.wiring.naming import Elsewhere
from gopub.wiring.outside import open_fleet
from gopub.wiring.project import Project, edges_of, fleet_of, hosts_of, open_project

ENGINE = ("prefect", "fastapi", "sqlalchemy")
"""What Prefect's server stands on, and gopub pins."""
QUICK, SLOW = 6.0, 20.0
"""Seconds for one answer, and for a look of several."""
MOST_HOSTS = 64
_NO_VERSION = "0.0.0-doctor"
_NO_RELEASE = "0" * 12
_AT_ONCE = 16


def packages() -> tuple[Package, ...]:
    """The installed packages against gopub's own requirements."""
    wanted = [Requirement(line) for line in _requirements()]
    return tuple(
        Package(one.name, there, str(one.specifier), one.specifier.contains(there, prereleases=True))
        for one in wanted
        if one.name in ENGINE
        for there in [_installed(one.name)]
    )


def _requirements() -> list[str]:
    """Those of the checkout, or of the installed wheel."""
    file = project_root() / "pyproject.toml"
    if file.is_file():
        return list(tomllib.loads(file.read_text("utf-8"))["project"]["dependencies"])
    try:
        return requires("gopub") or []
    except PackageNotFoundError:
        return []


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "0"


def journal_look() -> Look:
    """Where the journal lies, whether it opens, and what nobody drives."""
    return Look("the journal", SLOW, _journal)


async def _journal() -> Facts:
    url = settings.journal_url()
    file = file_of(url)
    seen = JournalSeen(shown(url), free=_free(file) if file else None, named=settings.names_journal())
    if file and not file.exists():
        return Facts("", journal=replace(seen, there=False))
    now = SystemClock().now()
    try:
        opened = settings.journal(patience=QUICK)
        left, untold = tuple(_left(opened)), tuple(one.says(now) for one in read_untold(opened, now))
    except GopubError as error:
        return Facts("", journal=replace(seen, trouble=why(error), hint=error.hint))
    size = sum(one.stat().st_size for one in file.parent.glob(f"{file.name}*")) if file else 0
    seen = replace(seen, size=size, left=left, untold=untold)
    try:
        opened.try_to_write()
    except GopubError as error:
        hint = "who holds it? A process that stands still must end" + (f": fuser -v {file}" if file else "")
        seen = replace(seen, unwritable=why(error), hint=hint)
    return Facts("", journal=seen)


def _free(file: Path) -> int | None:
    there = next((one for one in file.resolve().parents if one.is_dir()), None)
    return shutil.disk_usage(there).free if there else None


def _left(journal: Journal) -> Iterator[Left]:
    now = SystemClock().now()
    for one in active(journal):
        if not one.driven:
            state = one.state
            ended = journal.lease_end(state.app, state.env)
            yield Left(state.rollout, state.app, state.env, max(0.0, now - ended), waits=bool(state.waiting))


def project_looks(folder: Path, elsewhere: Elsewhere | None) -> list[Look]:
    """A look at every connection of the gopub.yaml in a folder, and at its hosts; none where there is none.

    Each has a thread of its own: a store that does not answer hides no Prometheus.
    """
    if not (folder if folder.is_file() else folder / "gopub.yaml").is_file():
        return []
    try:
        return in_time(lambda: asyncio.run(_of_project(folder, elsewhere)), SLOW)
    except TimeoutError:
        return [_trouble("the project", TimeoutError(f"its names are not known within {SLOW:g} s"))]
    except GopubError as error:
        return [_trouble("gopub.yaml", error)]


def _trouble(what: str, error: Exception) -> Look:
    """A look that fails as something failed already."""

    async def fail() -> Facts:
        raise error

    return Look(what, QUICK, fail, connection=True)


async def _of_project(folder: Path, elsewhere: Elsewhere | None) -> list[Look]:
    project = await open_project(folder).naming_store(elsewhere)
    looks = {project.spec.publish.store: Look(project.spec.publish.store, SLOW, lambda: _store(project), True)}
    hosts: dict[str, Host] = {}
    for name, environment in project.spec.environments.items():
        try:
            project = known = await project.naming(environment, elsewhere)
            edges = edges_of(known, environment)
            hosts |= {host.name: host for host in (*hosts_of(known, environment), *(edges.hosts if edges else ()))}
        except GopubError as error:
            looks[f"environment {name}"] = _trouble(f"environment {name}", error)
            continue
        for source in _sources(known, environment):
            looks[source] = Look(source, SLOW, _metrics(known, source, name), connection=True)
    if hosts:
        looks["hosts"] = Look("hosts", SLOW * 2, lambda: _hosts(project, hosts), connection=True)
    return list(looks.values())


def _sources(project: Project, environment: Environment) -> list[str]:
    """The names of its metrics beside the edges' own: what judges, and what is compared with it."""
    router = project.connections.find(environment.traffic.router) if environment.traffic else None
    named = (environment.judge.source, router.metrics if isinstance(router, RouterKind) else None)
    return sorted({name for name in named if name and name != EDGES})


async def _store(project: Project) -> Facts:
    """What is published is listed and read; whether it may be written is not tried, save for a folder."""
    name, app = project.spec.publish.store, project.spec.app
    connection = project.connections.find(name)
    store = project.store()
    published = await store.list(f"apps/{app}/")
    await _may_read(store, published, version_key(app, _NO_VERSION))
    folder = getattr(connection, "path", None)
    kind = connection.kind if connection else ""
    if isinstance(folder, Path) and not _may_write(folder):
        told = f"{folder} can be read, and not be written by this user"
        return Facts("", connections=(Connected(name, kind, trouble=told, hint=f"ls -ld {folder}"),))
    seen = Connected(name, kind, f"{len(published)} version(s) of {app} are published")
    return Facts("", connections=(seen,), clocks=await _clock(name, connection))


async def _may_read(store: ArtifactStore, published: list[str], other: str) -> None:
    """That a key can be read: one that is there, else that the store says that there is none."""
    try:
        await store.get(published[-1] if published else other, limit=1 << 16)
    except GopubError as error:
        if error.code != MISSING:
            raise


def _may_write(folder: Path) -> bool:
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    return os.access(there, os.W_OK | os.X_OK)


def _metrics(project: Project, name: str, env: str) -> Callable[[], Awaitable[Facts]]:
    async def look() -> Facts:
        connection = project.connections.get(name, MetricsConnection)
        source, now, app = connection.open(), SystemClock().now(), project.spec.app
        asked = source.own("vector(1)", app, env, _NO_RELEASE, (), now) if isinstance(source, OwnSource) else None
        answer = await (asked or source.counters(app, env, (), now))
        trouble = answer.reason if isinstance(answer, NoData) else ""
        seen = Connected(name, connection.kind, "it answers queries", trouble, "see docs/reference/connections-yaml.md")
        return Facts("", connections=(seen,), clocks=() if trouble else await _clock(name, connection))

    return look


async def _hosts(project: Project, hosts: dict[str, Host]) -> Facts:
    """That each host and edge lets us in, whom it obeys, and what its clock says."""
    fleet, turn, app = open_fleet(fleet_of(project)), asyncio.Semaphore(_AT_ONCE), project.spec.app

    async def one(host: Host) -> Facts:
        async with turn, asyncio.timeout(QUICK):
            channel = await fleet.channel(host)
            return await (_by_facts(channel, app) if await channel.enrolled(timeout=QUICK) else _by_programs(channel))

    async def told(host: Host) -> Facts:
        try:
            return await one(host)
        except GopubError as error:
            return Facts("", connections=(Connected(host.name, "host", trouble=why(error), hint=error.hint),))
        except TimeoutError:
            return Facts("", connections=(Connected(host.name, "host", trouble=f"no answer within {QUICK:g} s"),))

    asked = list(hosts.values())[:MOST_HOSTS]
    try:
        seen = await asyncio.gather(*(told(host) for host in asked))
    finally:
        with suppress(GopubError, OSError):
            await fleet.close()
    bad = tuple(c for facts in seen for c in facts.connections)
    more = f" of {len(hosts)}" if len(hosts) > len(asked) else ""
    well = Connected("hosts", "", f"{len(asked) - len(bad)}{more} let us in")
    return Facts("", connections=(*bad, *((well,) if len(asked) > len(bad) else ())),
                 clocks=tuple(clock for facts in seen for clock in facts.clocks),
                 obeying=tuple(one for facts in seen for one in facts.obeying))  # fmt: skip


async def _by_programs(channel: HostChannel) -> Facts:
    """What a host says that runs what it is sent."""
    host, sent = channel.host, SystemClock().now()
    date = await channel.exec(["date", "+%s"], timeout=QUICK)
    got = SystemClock().now()
    root = await channel.exec(["sudo", "-n", "true"], timeout=QUICK) if host.ssh.sudo else date
    if root.code:
        hint = f"let the user run it without a password on {host.name}: visudo"
        return Facts("", connections=(Connected(host.name, "host", trouble="sudo asks for a password", hint=hint),))
    return Facts("", clocks=_told_clock(host, date.text, sent, got), obeying=(Obeys(host.name),))


async def _by_facts(channel: HostChannel, app: str) -> Facts:
    """What an enrolled host says: its program runs as root, or says that it does not."""
    host, sent = channel.host, SystemClock().now()
    record = await channel.run(Order("facts", host.name, "", app, app, ""), timeout=QUICK)
    got = SystemClock().now()
    if not record.ok:
        raise record.error()
    said = record.values
    roles = said.get("roles", "")
    obeys = Obeys(host.name, int(roles) if roles.isdecimal() else 0, said.get("program") == sha256(enrolled().encode()))
    return Facts("", clocks=_told_clock(host, said.get("now", ""), sent, got), obeying=(obeys,))


def _told_clock(host: Host, told: str, sent: float, got: float) -> tuple[Clock, ...]:
    return (_compared(f"host {host.name}", float(told), sent, got),) if told.isdecimal() else ()


async def _clock(name: str, connection: Connection | None) -> tuple[Clock, ...]:
    """The clock behind an address, by the Date of whatever it answers; none where it says none."""
    address = str(getattr(connection, "url", "") or "")
    if endpoint := getattr(connection, "endpoint", None):
        address = f"{'https' if getattr(connection, 'secure', True) else 'http'}://{endpoint}"
    if not address.startswith(("http://", "https://")):
        return ()
    found = await asyncio.to_thread(_dated, name, address, getattr(connection, "ca", None))
    return (found,) if found else ()


def _dated(name: str, address: str, ca: Path | None) -> Clock | None:
    sent = SystemClock().now()
    asked = urllib.request.Request(address, method="HEAD")  # noqa: S310 - http and https alone, see above
    try:
        trusted = ssl.create_default_context(cafile=ca)
        with urllib.request.urlopen(asked, timeout=QUICK, context=trusted) as answer:  # noqa: S310
            said = answer.headers["Date"]
    except urllib.error.HTTPError as error:
        said = error.headers["Date"]
    except OSError:
        return None
    return by_date(name, said, sent, SystemClock().now())


def by_date(whose: str, said: str | None, sent: float, got: float) -> Clock | None:
    """The clock that wrote a Date header between two moments of this machine's; None where it is no date."""
    try:
        return _compared(whose, parsedate_to_datetime(said or "").timestamp(), sent, got)
    except ValueError:
        return None


def _compared(whose: str, told: float, sent: float, got: float) -> Clock:
    """Whole seconds are told: the middle of that second against the middle of the question."""
    return Clock(whose, told + 0.5 - (sent + got) / 2, 0.5 + (got - sent) / 2)


def receiver_look(url: str) -> Look:
    """Whether `gopub serve` answers there."""

    async def look() -> Facts:
        return await asyncio.to_thread(_receiver, url)

    return Look("the receiver of webhooks", QUICK + 2, look)


def _receiver(url: str) -> Facts:
    if not url.startswith(("http://", "https://")):
        return Facts("", receiver=Receiver(url, "this is no http or https address"))
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/healthz", timeout=QUICK) as answer:  # noqa: S310 - see above
            told = json.loads(answer.read(1 << 16))
            return Facts("", receiver=Receiver(url, waiting=int(told.get("waiting", 0))))
    except (OSError, ValueError, AttributeError) as error:
        return Facts("", receiver=Receiver(url, why(error)))
