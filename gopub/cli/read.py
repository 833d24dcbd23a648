"""`gopub status`, `history` and `explain`: what the journal says. They only read, and need no Prefect and no hosts."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gopub.canon import Json
from gopub.cli import completing
from gopub.cli.saying import say, say_document, say_table
from gopub.errors import Exit, GopubError, UsageError
from gopub.telemetry import REDACTOR

if TYPE_CHECKING:
    from gopub.journal.entry import Entry
    from gopub.journal.events import Asked


class Lang(StrEnum):
    """The languages that a rollout is explained in."""

    EN = "en"
    ZH = "zh"


AppOption = Annotated[str, typer.Option("--app", help="Only this app.", autocompletion=completing.apps)]
EnvOption = Annotated[str, typer.Option("--env", "-e", help="Only this env.", autocompletion=completing.environments)]
LangOption = Annotated[Lang | None, typer.Option("--lang", help="The language; else that of LANG.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def status(
    app: AppOption = "",
    env: EnvOption = "",
    as_json: JsonOption = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Walk the journal's hash chain, and show what processes were proven to have."),
    ] = False,
) -> None:
    """Show what each env runs, what is under way, who drives it, and what is owed."""
    from gopub.clock import SystemClock
    from gopub.views.proven import proof_lines, read_proven
    from gopub.views.reading import read_envs
    from gopub.views.status import HEAD, cells, notes
    from gopub.views.untold import read_untold
    from gopub.wiring import settings

    journal = settings.journal()
    entries = journal.verify() if verify else None
    proven = read_proven(journal, app, env) if verify else []
    now = SystemClock().now()
    rows, untold = read_envs(journal, now, app, env), read_untold(journal, now, app, env)
    if as_json:
        envs: list[Json] = [row.to_json() for row in rows]
        people: list[Json] = [one.to_json() for one in untold]
        whole: dict[str, Json] = {"schema_version": 1, "envs": envs, "untold": people, "entries_verified": entries}
        if verify:
            whole["runtime"] = [one.to_json() for one in proven]
        say_document(json.dumps(whole, indent=2))
    else:
        if entries is not None:
            say(f"journal: {entries} entries, the chain holds", err=True)
        if rows:
            say_table(HEAD, [cells(row) for row in rows])
            said = [*(line for row in rows for line in notes(row)), *proof_lines(proven)]
            if said := [*said, *(one.says(now) for one in untold)]:
                say("\n".join(("", *said)))
        else:
            say(f"nothing{f' of {app}' if app else ''} was released {f'into {env} ' if env else ''}here yet", err=True)
    _raise_all([row.damage for row in rows if row.damage])
    if any(row.owes for row in rows):
        raise typer.Exit(int(Exit.PARTIAL))


def history(
    app: AppOption = "",
    env: EnvOption = "",
    most: Annotated[int, typer.Option("--number", "-n", min=1, max=1000, help="At most so many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List past rollouts, the newest first: how each ended, by which rule, who asked for it, why, and how long."""
    from gopub.clock import SystemClock
    from gopub.views.env import says
    from gopub.views.history import past_lines
    from gopub.views.past import read_history
    from gopub.wiring import settings

    found = read_history(settings.journal(), SystemClock().now(), app, env, most=most)
    if as_json:
        lost: list[Json] = [{"app": one.app, "env": one.env, "damaged": says(one.damage)} for one in found.lost]
        rollouts: list[Json] = [past.to_json() for past in found.rollouts]
        whole: Json = {"schema_version": 1, "rollouts": rollouts, "older": found.older, "damaged_envs": lost}
        say_document(json.dumps(whole, indent=2, ensure_ascii=False))
    else:
        for past in found.rollouts:
            say("\n".join(past_lines(past)))
        if found.older:
            say(f"{found.older} older: `gopub history -n NUMBER` lists more", err=True)
        if not found.rollouts and not found.lost:
            say("no rollout here yet", err=True)
    damaged = [one.damage for one in found.lost] + [past.damage for past in found.rollouts if past.damage]
    _raise_all(damaged)


def explain(
    rollout: Annotated[
        str, typer.Argument(help="A rollout's id, or the beginning of it; else the newest of this folder's app.")
    ] = "",
    app: AppOption = "",
    env: EnvOption = "",
    as_json: JsonOption = False,
    plot: Annotated[str, typer.Option("--plot", metavar="FILE.svg", help="Draw it into this file as well.")] = "",
    report: Annotated[
        str, typer.Option("--report", metavar="FILE.html|.md", help="Write a report with the picture in it as well.")
    ] = "",
    lang: LangOption = None,
) -> None:
    """Tell what was seen of a rollout, what was concluded, what that rested on and what was not seen; then the chain.

    The chain has every entry from commit to verdict, and for each verdict what it was drawn from.
    """
    from gopub.cli.meaning import meant
    from gopub.journal.reading import asked
    from gopub.journal.streams import stream_of
    from gopub.views.explanation import explanation, explanation_json
    from gopub.views.story import story
    from gopub.views.trust import beside, beside_lines
    from gopub.views.wording import language
    from gopub.wiring import settings

    _hold_names(plot, report)
    journal = settings.journal()
    name = meant(journal, rollout, app, env, changes=False)
    entries = journal.read(stream_of(name))
    if report:
        _report(entries, asked(journal, name), Path(report), language(lang or "", os.environ))
    if plot:
        _draw(entries, Path(plot), language(lang or "", os.environ))
    if as_json:
        trust: list[Json] = [one.to_json() for one in beside(journal, entries)]
        say_document(json.dumps({**explanation_json(entries), "trust": trust}, indent=2, ensure_ascii=False))
        return
    told = story(entries, language(lang or "", os.environ))
    chain = [*explanation(entries), *beside_lines(beside(journal, entries))]
    say("\n".join([*told, "", *chain] if told else chain))


def _hold_names(plot: str, report: str) -> None:
    """Refuse a file's name before anything is written: of two files none is there where one cannot be.

    Raises:
        UsageError: GP969 it is no place for a picture or for a report.
    """
    if plot and Path(plot).suffix.lower() != ".svg":
        raise UsageError("GP969", f"{plot!r} is no name of an SVG file", hint="write --plot FILE.svg")
    if report and Path(report).suffix.lower() not in {".html", ".md"}:
        raise UsageError("GP969", f"{report!r} is no name of a report", hint="write --report FILE.html, or FILE.md")


def _draw(entries: Sequence[Entry], file: Path, lang: str) -> None:
    """Write the picture in its place at once."""
    from gopub.views.plots import plot

    _write(file, plot(entries, lang), "picture")
    say(f"drew {file}", err=True)


def _report(entries: Sequence[Entry], said: Sequence[Asked], file: Path, lang: str) -> None:
    """Write the report in its place at once.

    Raises:
        UsageError: GP969 there is nothing to report.
    """
    from gopub.views.report import html, markdown, report_of

    written = html if file.suffix.lower() == ".html" else markdown
    if (found := report_of(entries, said, lang)) is None:
        raise UsageError("GP969", "there is nothing to report: nobody opened this rollout")
    _write(file, written(found), "report")
    say(f"wrote {file}", err=True)


def _write(file: Path, text: str, what: str) -> None:
    draft = file.with_name(f"{file.name}.part")
    try:
        draft.write_bytes(REDACTOR.clean(text).encode())
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        problem = f"the {what} cannot be written to {str(file)!r}: {error.strerror or error}"
        raise UsageError("GP969", problem, hint="name a file in a folder that you may write to") from error


def _raise_all(damaged: Sequence[GopubError]) -> None:
    """End with what is damaged, after all that is not was told."""
    for one in damaged[:-1]:
        say(f"error: {one}", err=True)
    if damaged:
        raise damaged[-1]
