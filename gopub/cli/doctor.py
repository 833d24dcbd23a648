"""`gopub doctor`: what is wrong around a release, and what to do about it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from gopub.cli.saying import say, say_document
from gopub.errors import Exit

if TYPE_CHECKING:
    from gopub.usecases.doctor import Finding
    from gopub.usecases.doctor_facts import Facts

_MARKS = {"ok": "ok      ", "warn": "warning ", "broken": "BROKEN  "}


def doctor(
    project: Annotated[
        Path, typer.Option("--project", help="The folder with gopub.yaml; without one only the engine is looked at.")
    ] = Path(),
    server: Annotated[str, typer.Option("--server", help="The Prefect server's API; default: PREFECT_API_URL.")] = "",
    receiver: Annotated[
        str, typer.Option("--receiver", help="The address of `gopub serve`, to see whether it answers.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Look at the engine, the journal and all connections, and say what to do. Writes nothing."""
    from gopub.cli.setup import point_at
    from gopub.usecases.doctor import examine, worst
    from gopub.usecases.doctor_looking import left_behind

    named = point_at(server)
    facts = replace(_seen(project, receiver), named=named)
    findings = examine(facts)
    bad = worst(findings)
    if as_json:
        told = [one.to_json() for one in findings]
        say_document(json.dumps({"schema_version": 1, "worst": bad.value, "findings": told}, indent=2))
    else:
        for one in findings:
            _tell(one)
    _end(int(Exit.FAILED if bad.value == "broken" else Exit.OK), at_once=left_behind(facts))


def _seen(project: Path, receiver: str) -> Facts:
    from gopub import __version__
    from gopub.cli.engine import load, needs_own_server, server_blocks
    from gopub.paths import project_root
    from gopub.usecases import doctor_here as here
    from gopub.usecases.doctor_facts import Facts
    from gopub.usecases.doctor_looking import look_at

    known = Facts(__version__, packages=here.packages())
    has_server = not needs_own_server()
    looks = [here.journal_look(), *here.project_looks(project, server_blocks() if has_server else None)]
    if receiver:
        looks.append(here.receiver_look(receiver))
    if has_server:
        looks.append(load("deployments.doctor:server_look")())
    known = look_at(looks, known)
    if known.server and not known.server.trouble:
        known = look_at(load("deployments.doctor:looks")(project_root()), known)
    return known


def _tell(one: Finding) -> None:
    say(f"{_MARKS[one.severity.value]}{one.says}{f' ({one.seen})' if one.seen else ''}")
    if one.do and one.severity.value != "ok":
        say(f"        do: {one.do}")


def _end(code: int, *, at_once: bool) -> NoReturn:
    """End; at once where a look was left behind: Python would wait for its threads, for as long as they block."""
    if not at_once:
        raise typer.Exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
