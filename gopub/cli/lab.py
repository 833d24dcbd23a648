"""``gopub lab``: a real fleet on this machine, brought up, looked at, used and taken down."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gopub.cli import completing
from gopub.cli.saying import say, say_document
from gopub.errors import Exit, UsageError
from gopub.units import seconds

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A real fleet on this machine: Debian hosts, an Nginx edge, Prometheus, traffic.",
)

Name = Annotated[str, typer.Option("--name", "-n", help="Which lab; labs of different names run side by side.")]


def _tell(line: str) -> None:
    say(line, err=True)


@app.command()
def up(
    name: Name = "lab",
    hosts: Annotated[int, typer.Option(help="Application hosts.")] = 4,
    edges: Annotated[int, typer.Option(help="Nginx edges.")] = 1,
    app_port: Annotated[list[int] | None, typer.Option(help="Where hosts expose metrics; repeatable.")] = None,
    sigstore: Annotated[
        bool, typer.Option("--sigstore", help="With a private Sigstore; `make tools` builds it.")
    ] = False,
) -> None:
    """Bring a lab up, or mend one that is half there."""
    from gopub.lab.lab import Lab

    ports = tuple(app_port or (9102,))
    lab = asyncio.run(Lab.up(name, hosts=hosts, edges=edges, app_ports=ports, sigstore=sigstore, tell=_tell))
    _tell(f"lab {name!r} is up: {len(lab.hosts)} hosts, {len(lab.edges)} edges, Prometheus at {lab.prometheus_url}")
    if lab.layout.sigstore:
        _tell(f"Sigstore: trust config {lab.sigstore.trust}, tokens by {lab.sigstore.issuer} (gopub lab token)")
    say(f"export GOPUB_CONNECTIONS={lab.connections}")


@app.command()
def down(name: Name = "lab") -> None:
    """Take a lab down, whatever is left of it; nothing stays."""
    from gopub.lab.lab import take_down

    asyncio.run(take_down(name, _tell))


@app.command()
def status(name: Name = "lab", as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show what runs; exit code 1 when something does not."""
    from gopub.lab.lab import Lab

    seen = asyncio.run(Lab.open(name).status())
    if as_json:
        say_document(json.dumps(seen.to_json()))
    else:
        for host in seen.hosts:
            say(f"{host.name:8} {host.role:5} {host.address:15} {'up' if host.pid else 'DOWN'}")
        say(f"{'metrics':14} {seen.prometheus_url:15} {'up' if seen.prometheus else 'DOWN'}")
        for service, pid in seen.sigstore.items():
            say(f"{'sigstore':14} {service:15} {'up' if pid else 'DOWN'}")
    if not seen.whole:
        raise typer.Exit(Exit.FAILED)


@app.command(context_settings={"ignore_unknown_options": True})
def exec(  # noqa: A001 - the name of the command
    host: Annotated[str, typer.Argument(help="Its name, such as app1.", autocompletion=completing.lab_hosts)],
    argv: Annotated[list[str], typer.Argument(help="The command, after --.")],
    name: Name = "lab",
) -> None:
    """Run a command on a host as root; its exit code is ours."""
    from gopub.lab.lab import Lab

    stdin = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    done = asyncio.run(Lab.open(name).exec(host, argv, stdin=stdin, limit=600, check=False))
    sys.stdout.buffer.write(done.out)
    sys.stderr.buffer.write(done.err)
    raise typer.Exit(done.code)


@app.command()
def token(
    *,
    project: Annotated[str, typer.Option(help="The project whose job it is, such as trade/orders.")],
    ref: Annotated[str, typer.Option(help="The ref for which it runs, such as refs/tags/v1.")],
    sha: Annotated[str, typer.Option(help="The commit; without it, one is made up.")] = "",
    claim: Annotated[list[str] | None, typer.Option(help="NAME=VALUE in the token; repeatable.")] = None,
    lasting: Annotated[str, typer.Option("--for", help="How long it is valid.")] = "5m",
    name: Name = "lab",
) -> None:
    """Print a token as GitLab gives it to a job, by the issuer of the lab's Sigstore stack."""
    from gopub.lab.lab import Lab
    from gopub.lab.sigstore import oidc, stack

    said = {**oidc.claims(project, ref, sha=sha), **oidc.claims_in(claim or ())}
    say_document(stack.token(Lab.open(name).sigstore, said, lasting=round(seconds(lasting))))


@app.command()
def check() -> None:
    """Say whether the lab can run on this machine."""
    from gopub.lab.support import require

    asyncio.run(require())


@app.command()
def traffic(
    *,
    host_header: Annotated[str, typer.Option(help="The virtual host, such as hello.lab.")],
    name: Name = "lab",
    rate: Annotated[float, typer.Option(help="Requests per second.", min=0.1)] = 50.0,
    lasting: Annotated[str, typer.Option("--for", help="How long; Ctrl-C ends it earlier.")] = "24h",
    users: Annotated[int, typer.Option(help="Different x-user-id values.", min=1)] = 500,
    mix: Annotated[list[str] | None, typer.Option(help='"METHOD /path"; repeatable, equal shares.')] = None,
    log: Annotated[Path | None, typer.Option(help="JSON lines, one per second.")] = None,
) -> None:
    """Send requests through the edge, each exactly once, and count answers and losses; prints a summary as JSON."""
    from gopub.lab.lab import Lab
    from gopub.lab.traffic import Load, Traffic

    lab = Lab.open(name)
    _check(host_header, mix or ())
    load = Load(lab.edge_address, host_header, rate=rate, users=users)
    if mix:
        load = Load(lab.edge_address, host_header, rate=rate, users=users, mix=tuple(mix))
    sender = Traffic(load, log=log)
    try:
        asyncio.run(sender.run(seconds(lasting)))
    except KeyboardInterrupt:
        _tell("stopped")
    say_document(json.dumps(sender.counts.to_json()))


def _check(host_header: str, mix: Sequence[str]) -> None:
    if not re.fullmatch("[!-~]+", host_header):
        raise UsageError("GP811", f"{host_header!r} is no virtual host", hint="write it as hello.lab")
    for entry in mix:
        if not re.fullmatch("(?!HEAD )[A-Za-z]+ /[!-~]*", entry):
            raise UsageError("GP811", f"{entry!r} is no request for the mix", hint='write it as "GET /path"')
