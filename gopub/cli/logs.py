"""``gopub logs``: what the judge knows of a service's error lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gopub.canon import Json
from gopub.cli import completing
from gopub.cli.saying import say, say_document

app = typer.Typer(no_args_is_help=True, help="Error lines: which classes are known, which are harmless; receive them.")


@app.command()
def classes(
    app_name: Annotated[str, typer.Argument(metavar="APP", help="The app.", autocompletion=completing.apps)],
    env: Annotated[str, typer.Argument(metavar="ENV", help="The environment.", autocompletion=completing.environments)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the classes of error lines of the newest rollouts: how often on each track, and since when."""
    from gopub.views.logclasses import class_lines, read_classes
    from gopub.wiring import settings

    found = read_classes(settings.journal(), app_name, env)
    if as_json:
        rows: list[Json] = [one.to_json() for one in found]
        say_document(json.dumps({"schema_version": 1, "classes": rows}, ensure_ascii=False, indent=2))
    elif found:
        say("\n".join(class_lines(found)))
    else:
        say("no error lines are known: no rollout read any, or none read the logs", err=True)


@app.command()
def harmless(
    app_name: Annotated[str, typer.Argument(metavar="APP", help="The app.", autocompletion=completing.apps)],
    env: Annotated[str, typer.Argument(metavar="ENV", help="The environment.", autocompletion=completing.environments)],
    name: Annotated[str, typer.Argument(metavar="CLASS", help="A template or a kind of error, as `classes` has it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the journal.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Let it count again.")] = False,
) -> None:
    """Let a class of error lines count no longer, from the next reading on; a panic does, unless its kind is marked."""
    from gopub.cli.meaning import insist_known
    from gopub.usecases.mark_logs import mark_class
    from gopub.views.logclasses import is_known
    from gopub.wiring import settings

    insist_known(app_name, env)
    journal = settings.journal()
    if not undo and not is_known(journal, app_name, env, name):
        say(
            f"no rollout into {env} has had {name!r} of late; `gopub logs classes` has each as it is to be written",
            err=True,
        )
    mark_class(journal, app_name, env, name, reason, harmless=not undo)
    say(f"{name!r} counts {'again' if undo else 'no longer'} in {env}, from the next reading on", err=True)


@app.command()
def receive(
    folder: Annotated[Path, typer.Option("--dir", help="The folder for a file of each service; it is made.")],
    listen: Annotated[str, typer.Option(help="HOST:PORT to listen on.")] = "127.0.0.1:4318",
    service: Annotated[list[str] | None, typer.Option(help="Take only records of this service.name.")] = None,
    size: Annotated[str, typer.Option(help="A file is turned over at this size; one that is older is kept.")] = "16MiB",
    token_file: Annotated[Path | None, typer.Option(help="The bearer token to ask for; else GOPUB_LOGS_TOKEN.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="The certificate (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM), if apart from it.")] = None,
    plain_http: Annotated[bool, typer.Option("--plain-http", help="Without TLS: a proxy in front ends it.")] = False,
) -> None:
    """Receive the logs that services send as OTLP/HTTP, in files that a connection of kind otlp reads."""
    from gopub.cli.engine import bring
    from gopub.cli.receiving import address_of, insist_safe, listening, token_of
    from gopub.health.receiver.keeping import Keeper
    from gopub.units import size as bytes_of

    host, port = address_of(listen)
    token = token_of(token_file)
    insist_safe(host, token, tls=tls_cert is not None or plain_http)
    keeper = Keeper(folder, most=bytes_of(size), services=frozenset(service or ()))
    heard = listening(host, port)
    secure = "s" if tls_cert else ""
    say(f"receiving logs on http{secure}://{listen.rpartition(':')[0]}:{heard.getsockname()[1]}/v1/logs", err=True)
    if trouble := keeper.trouble():
        say(f"{trouble}; who sends is told to come again", err=True)
    bring("deployments.receiving:serve")(keeper, heard, token=token, tls_cert=tls_cert, tls_key=tls_key)
