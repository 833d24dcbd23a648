"""`gopub promote`, `abort`, `rollback` and `recover`: what a person on call uses."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, cast

import typer

from gopub.cli import completing
from gopub.cli.driving import finish, go_on, go_on_with
from gopub.cli.saying import say
from gopub.cli.signals import heeded
from gopub.clock import SystemClock
from gopub.errors import Exit, GopubError

RolloutArgument = Annotated[
    str, typer.Argument(help="A rollout's id, or the beginning of it; else the one of this folder's app under way.")
]
AppOption = Annotated[
    str,
    typer.Option(
        "--app", help="The app whose rollout is meant; default: that of gopub.yaml.", autocompletion=completing.apps
    ),
]
EnvOption = Annotated[
    str, typer.Option("--env", "-e", help="The env whose rollout is meant.", autocompletion=completing.environments)
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the journal.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout at the end.")]


def promote(rollout: RolloutArgument = "", app: AppOption = "", env: EnvOption = "", reason: ReasonOption = "") -> None:
    """Approve the step that waits for an approval, else end the bake and go on to the next step."""
    from gopub.cli.meaning import meant
    from gopub.usecases.ask import ask_promote
    from gopub.wiring import settings

    journal = settings.journal()
    name = meant(journal, rollout, app, env, changes=True)
    state = ask_promote(journal, name, reason)
    say(f"asked {name} ({state.app} into {state.env}) to go on", err=True)
    go_on(journal, state.app, state.env)


def abort(
    rollout: RolloutArgument = "",
    app: AppOption = "",
    env: EnvOption = "",
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take an active rollout back; the release is not quarantined."""
    from gopub.cli.meaning import meant
    from gopub.usecases.ask import ask_abort
    from gopub.wiring import settings

    journal = settings.journal()
    name = meant(journal, rollout, app, env, changes=True)
    state = ask_abort(journal, name, reason)
    say(f"asked {name} ({state.app} into {state.env}) to go back", err=True)
    go_on(journal, state.app, state.env, as_json=as_json)


def rollback(
    app: Annotated[
        str, typer.Argument(help="The app; default: that of gopub.yaml here.", autocompletion=completing.apps)
    ] = "",
    env: Annotated[
        str, typer.Option("--env", "-e", help="The environment.", autocompletion=completing.environments)
    ] = "",
    to: Annotated[
        str,
        typer.Option(
            "--to", help="A version or release id; default: the release before.", autocompletion=completing.versions
        ),
    ] = "",
    reason: ReasonOption = "",
    below_floor: Annotated[
        bool, typer.Option("--below-floor", help="Though it is older than what runs says may follow; with --reason.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring the release before, or --to one, back at once. Needs only hosts, edges and the rollback kit."""
    from gopub.cli.meaning import insist_known
    from gopub.usecases.rollback import take_back

    app, env = _which(app, env)
    try:
        with heeded(_not_now):
            result = asyncio.run(take_back(app, env, to=to, reason=reason, below_floor=below_floor, tell=_tell))
    except GopubError as error:
        if error.code == "GP716":
            insist_known(app, env)
        raise
    for alarm in cast("list[str]", result["alarms"]):
        say(f"alarm: {alarm}", err=True)
    try:
        finish(result, as_json=as_json)
    except typer.Exit as end:
        # A rollback that was asked for and came about is a success of this command.
        came_about = end.exit_code in (Exit.ROLLED_BACK, Exit.INCONCLUSIVE)
        raise typer.Exit(int(Exit.OK if came_about else end.exit_code)) from None


def recover(
    app: Annotated[str, typer.Option(help="Only rollouts of this app.", autocompletion=completing.apps)] = "",
    env: Annotated[
        str,
        typer.Option(
            "--env", "-e", help="Only rollouts into this environment.", autocompletion=completing.environments
        ),
    ] = "",
) -> None:
    """Go on with rollouts whose driver died: forward from the journal, or back; all at once."""
    from gopub.journal.adopt import adopt
    from gopub.rollout.lease import LEASE
    from gopub.usecases.post import carry_all
    from gopub.usecases.recover import active, parameters
    from gopub.usecases.recover_edges import mend
    from gopub.wiring import settings

    journal = settings.journal()
    adopted = adopt(journal, settings.kits_folder())
    if adopted:
        say(f"adopted {adopted} rollback(s) that were made while the journal was down", err=True)
    asyncio.run(carry_all(journal, SystemClock().now(), app, env))
    stays: list[str] = []
    if mended := asyncio.run(mend(journal, SystemClock().now(), None, app, env, by_hand=True, tell=stays.append)):
        where = "1 environment" if mended == 1 else f"{mended} environments"
        say(f"hosts or edges that are owed can be mended in {where}", err=True)
    for line in stays:
        say(line, err=True)
    there = list(active(journal, app, env))
    found = [one for one in there if not one.driven and not one.state.waiting]
    if not found and not stays:
        say("nothing to recover", err=True)
    for one in there:
        if one.driven:
            seat, _ = journal.seated(one.state.app, one.state.env) or (None, False)
            say(f"{one.state.rollout} is driven by {seat.holder if seat else 'somebody'}; if that process is "
                       f"gone, its lease ends within {LEASE:g}s: run `gopub recover` then", err=True)  # fmt: skip
    if found:
        go_on_with([parameters(one) for one in found], owing=bool(stays))
    if stays:
        raise typer.Exit(int(Exit.PARTIAL))


def _tell(line: str) -> None:
    """With the time of day, as a rollout is told."""
    from gopub.views.standing import moment

    with suppress(OSError):  # nobody listens any more: no reason to leave a rollback half-way
        say(f"{moment(SystemClock().now())[11:19]}  {line}", err=True)


def _not_now(why: str) -> None:
    """A way back that is stopped half-way would be neither here nor there."""
    with suppress(OSError):
        say(f"{why}: going back is not stopped half-way; Ctrl-C again ends at once (then: gopub rollback)", err=True)


def _which(app: str, env: str) -> tuple[str, str]:
    """App and env: as given, else the only ones that gopub.yaml here has."""
    from gopub.cli.start import choose_env, read_spec

    if app and env:
        return app, env
    _, loaded = read_spec()
    return app or loaded.spec.app, choose_env(loaded, env)
