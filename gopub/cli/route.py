"""``gopub route``: which release a request gets and why, and what the edges obey."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import sys
import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, TextIO

import typer

from gopub.canon import read_json
from gopub.cli import completing
from gopub.cli.enrolling import As, Key, Sudo
from gopub.cli.saying import say, say_document
from gopub.clock import SystemClock
from gopub.errors import Exit, GopubError, UsageError
from gopub.traffic import EdgeStatus, Explanation, Request, RouteTable, explain, from_json
from gopub.traffic.accesslog import read_log
from gopub.traffic.outcomes import Outcome, outcomes, reason
from gopub.traffic.replaying import replayed
from gopub.traffic.saying import (
    say_carried,
    say_explanation,
    say_files,
    say_outcomes,
    say_replayed,
    say_status,
    say_trust,
    status_json,
)
from gopub.traffic.targets import taken_apart

if TYPE_CHECKING:
    from gopub.fleet.protocol import FleetConnection
    from gopub.spec.models import Traffic
    from gopub.wiring.project import Edges, Project

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Explain and show routes at the edges; check and install the edges' own files.",
)

EnvOption = Annotated[
    str,
    typer.Option(
        "--env", "-e", help="The env of gopub.yaml whose edges are asked.", autocompletion=completing.environments
    ),
]
FileOption = Annotated[Path, typer.Option("--file", "-f", help="gopub.yaml, or its folder.")]
_MOST_BYTES = 16 << 20
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command("explain")
def explain_command(
    address: Annotated[str, typer.Option("--address", "-a", help="Where the connection comes from.")] = "127.0.0.1",
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help='"name: value"; repeatable; cookies go here too.')
    ] = None,
    method: Annotated[str, typer.Option("--method", "-X", help="Its method.")] = "GET",
    target: Annotated[
        str, typer.Option("--target", "-t", metavar="/PATH?QUERY", help="What it asks for, as a client sends it.")
    ] = "/",
    at: Annotated[
        float | None, typer.Option(help="When, in seconds since the epoch; by default now on the edge.")
    ] = None,
    table: Annotated[str, typer.Option(help="A route table's file, - for stdin, instead of asking edges.")] = "",
    env: EnvOption = "",
    file: FileOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Say for one request which release it gets, by which rule and why: the edge's own decision."""
    headers = read_headers(header or ())
    path, query = taken_apart(target)
    statuses = (EdgeStatus("", _read_table(table)),) if table else _ask(file, env)
    tables = _tables(statuses)
    skews = {status.edge: status.skew for status in statuses}
    now = SystemClock().now()
    requests = {
        edge: Request(address, headers, now + (skews[edge] or 0.0) if at is None else at, method, path, query)
        for edge in tables
    }
    found = {edge: explain(one, requests[edge]) for edge, one in tables.items()}
    rules = {edge: outcomes(one, requests[edge], found[edge]) for edge, one in tables.items()}
    if as_json:
        say_document(json.dumps(_explained_json(found, tables, rules), indent=2))
        return
    for edge, explanation in found.items():
        say(say_explanation(explanation, revision=tables[edge].revision, edge=edge, skew=skews[edge]))
        for line in (
            *say_outcomes(rules[edge]),
            *say_trust(tables[edge], requests[edge]),
            *say_carried(tables[edge], explanation),
        ):
            say(f"  {line}")


@app.command("replay")
def replay_command(
    log: Annotated[str, typer.Argument(help="An access log, combined or JSON, also as .gz; - for stdin.")],
    table: Annotated[str, typer.Option("--table", help="The route table to try; a file.")],
    before: Annotated[str, typer.Option("--before", help="The one before; a file, instead of asking edges.")] = "",
    env: EnvOption = "",
    file: FileOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Say of how many recorded requests and users another route table would change the track. Nothing changes."""
    new = _read_table(table)
    old = _read_table(before) if before else next(iter(_tables(_ask(file, env)).values()))
    try:
        with _opened(log) as lines:
            found = replayed(read_log(lines), old, new)
    except (OSError, EOFError, zlib.error) as error:
        why = (getattr(error, "strerror", "") or str(error)).lower()
        raise UsageError(
            "GP511", f"{log!r} cannot be read: {why}", hint="name an access log, or - for stdin"
        ) from error
    if not found.requests:
        why = f"line {found.first_unread.number}: {found.first_unread.why}" if found.first_unread else "it is empty"
        raise UsageError(
            "GP511", f"{log!r} has no request ({why})", hint="see `gopub route replay` in docs/reference/cli.md"
        )
    say_document(json.dumps(found.to_json(), indent=2)) if as_json else say("\n".join(say_replayed(found)))


@app.command()
def show(env: EnvOption = "", file: FileOption = Path(), as_json: JsonOption = False) -> None:
    """Show what each edge obeys, and how many requests each host holds; exit code 5 when an edge is out of reach."""
    statuses = _ask(file, env)
    if as_json:
        edges = [status_json(status) for status in statuses]
        say_document(json.dumps({"schema_version": 1, "edges": edges}, indent=2))
    else:
        say("\n".join(say_status(status, SystemClock().now()) for status in statuses))
    if any(status.error for status in statuses):
        raise typer.Exit(int(Exit.PARTIAL))


@app.command("check")
def check_command(
    env: EnvOption = "", file: FileOption = Path(), user: As = "", key: Key = None, sudo: Sudo = False
) -> None:
    """Ask nginx on each edge whether its files are right (nginx -t); exit code 5 when one is not. Nothing changes."""
    _say_files(file, env, (user, key, sudo), install=False)


@app.command()
def install(
    env: EnvOption = "",
    file: FileOption = Path(),
    take_off: Annotated[
        list[str] | None, typer.Option("--take-off", metavar="KEY", help="A key's fingerprint; repeatable.")
    ] = None,
    user: As = "",
    key: Key = None,
    sudo: Sudo = False,
) -> None:
    """Lay gopub's nginx files and the keys that sign tables on each edge; where nginx refuses, the old ones stay.

    An edge that is enrolled runs no program for its user gopub: --as and --key say how root is reached there.
    """
    _say_files(file, env, (user, key, sudo), install=True, off=tuple(take_off or ()))


@app.command()
def sign(env: EnvOption = "", file: FileOption = Path()) -> None:
    """Sign the table that stands at the edges anew, as the journal knows it: for a first key, or another one."""
    from gopub.usecases.sign_table import sign_table

    project, _, _ = _edges(file, env)
    acks = asyncio.run(sign_table(project, env or next(iter(project.spec.environments))))
    for ack in acks:
        say(f"edge {ack.edge}: {'signed' if ack.ok else ack.error}")
    if not acks:
        say("no edge has a table, so there is nothing to sign")
    if not all(ack.ok for ack in acks):
        raise typer.Exit(int(Exit.PARTIAL))


def read_headers(lines: Sequence[str]) -> list[tuple[str, str]]:
    """``["X-A: 1"]`` as pairs, in their order; the same name may come again.

    Raises:
        UsageError: GP505 a line has no name before a colon, or one that no request can have.
    """
    headers: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or any(letter <= " " or letter == "\x7f" for letter in name.strip()):
            raise UsageError("GP505", f"{line!r} is no header", hint='write "name: value"')
        headers.append((name.strip(), value.strip(" \t")))
    return headers


def _read_table(path: str) -> RouteTable:
    try:
        with nullcontext(_stdin()) if path == "-" else Path(path).open("rb") as file:
            return from_json(read_json(file.read(_MOST_BYTES + 1), limit=_MOST_BYTES))
    except (OSError, ValueError) as error:
        raise UsageError("GP506", f"{path!r} cannot be read as a route table: {error}") from error


def _opened(path: str) -> AbstractContextManager[TextIO]:
    if path == "-":
        return nullcontext(io.TextIOWrapper(_stdin(), encoding="utf-8", errors="surrogateescape"))
    if path.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8", errors="surrogateescape")
    return Path(path).open(encoding="utf-8", errors="surrogateescape")


def _stdin() -> BinaryIO:
    buffer: BinaryIO | None = getattr(sys.stdin, "buffer", None)
    if buffer is None:  # nobody gave the process one
        raise OSError("there is no stdin")
    return buffer


def _tables(statuses: Sequence[EdgeStatus]) -> dict[str, RouteTable]:
    tables = {status.edge: status.table for status in statuses if status.table and not status.is_source}
    if not tables:
        said = "; ".join(f"{status.edge}: {status.error or 'it has none'}" for status in statuses)
        raise GopubError("GP508", f"no edge gave a table ({said})", hint="was anything rolled out there?")
    return tables


def _explained_json(
    found: dict[str, Explanation], tables: dict[str, RouteTable], rules: dict[str, tuple[Outcome, ...]]
) -> dict[str, object]:
    rows = [
        {
            "edge": edge,
            "revision": tables[edge].revision,
            **explanation.to_json(),
            "reason": reason(explanation),
            "rules": [one.to_json() for one in rules[edge]],
        }
        for edge, explanation in found.items()
    ]
    return {"schema_version": 1, "explained": rows}


def _ask(file: Path, env: str) -> tuple[EdgeStatus, ...]:
    from gopub.wiring.project import fleet_of

    project, edges, traffic = _edges(file, env)
    name = env or next(iter(project.spec.environments))
    return asyncio.run(_status(fleet_of(project), edges, traffic, project.spec.app, name))


def _say_files(
    file: Path, env: str, way: tuple[str, Path | None, bool], *, install: bool, off: tuple[str, ...] = ()
) -> None:
    from gopub.usecases.enrol_host import Way
    from gopub.usecases.lay_keys import files_of

    project, _, _ = _edges(file, env)
    name, by = env or next(iter(project.spec.environments)), Way(*way) if any(way) else None
    found = asyncio.run(files_of(project, name, install=install, off=off, way=by))
    say("\n".join(say_files(one) for one in found))
    if not all(one.fine for one in found):
        raise typer.Exit(int(Exit.PARTIAL))


def _edges(file: Path, env: str) -> tuple[Project, Edges, Traffic]:
    from gopub.cli.engine import server_blocks
    from gopub.wiring.project import open_project, routed

    project = open_project(file)
    name = env or _only(tuple(project.spec.environments))
    if name in project.spec.environments:  # routed says what is wrong with another one
        project = asyncio.run(project.naming(project.environment(name), server_blocks()))
    return project, *routed(project, name)


def _only(environments: tuple[str, ...]) -> str:
    return environments[0] if len(environments) == 1 else ""


async def _status(
    way: FleetConnection, edges: Edges, traffic: Traffic, application: str, env: str
) -> tuple[EdgeStatus, ...]:
    from gopub.wiring.outside import open_fleet, open_router

    fleet = open_fleet(way)
    try:
        router = open_router(edges.connection, edges.hosts, fleet)
        try:
            return await router.status(application, env, traffic.upstream)
        finally:
            await router.close()
    finally:
        await fleet.close()
