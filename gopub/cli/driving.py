"""Driving rollouts in this process: told live, stopped by Ctrl-C, ended with the exit code of what came of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import typer

from gopub.canon import Json
from gopub.cli.saying import say, say_document
from gopub.errors import Exit, GopubError, InterruptedByUser
from gopub.telemetry import log

if TYPE_CHECKING:
    from gopub.journal.store import Journal
    from gopub.usecases.recover import Found

Ended = Json | BaseException


@dataclass(frozen=True, slots=True)
class _Driven:
    """What each ended with, whether somebody pressed Ctrl-C, and for each the failures of hosts that were told."""

    results: list[Ended]
    interrupted: bool
    told: tuple[str, ...]


_RISING = (Exit.OK, Exit.INCONCLUSIVE, Exit.ROLLED_BACK, Exit.PARTIAL, Exit.INTERRUPTED)


def drive(flow: str, app: str, env: str, parameters: dict[str, Json], *, as_json: bool) -> None:
    """Run a flow that drives a rollout, telling what happens; ends with its exit code."""
    driven = _driven(flow, [(app, env, parameters)])
    (result,), (told,) = driven.results, driven.told
    if isinstance(result, BaseException):
        raise _in_words(result)
    finish(cast("dict[str, Json]", result), as_json=as_json, interrupted=driven.interrupted, told=told)


def go_on(journal: Journal, app: str, env: str, *, as_json: bool = False) -> None:
    """Drive the rollout into this env here if nobody does any more, so that what was asked of it is heard."""
    from gopub.usecases.recover import active, parameters

    for one in active(journal, app, env):
        if not one.driven:
            log("release").info("going on with %s", one.state.rollout)
            drive("rollout", app, env, parameters(one).to_json(), as_json=as_json)


def go_on_with(found: Sequence[Found], *, owing: bool = False) -> None:
    """Go on with several rollouts, side by side: none waits for another, and none ends with another's trouble.

    Each is told as it ends; the exit code is that of the worst, ``owing`` telling that something is owed elsewhere.
    """
    log("release").info("going on with %s", ", ".join(one.rollout for one in found))
    driven = _driven("rollout", [(one.app, one.env, one.to_json()) for one in found])
    codes = [Exit.INTERRUPTED] if driven.interrupted else [Exit.PARTIAL] if owing else [Exit.OK]
    for one, result, told in zip(found, driven.results, driven.told, strict=True):
        codes.append(_ended(one, result, told))
    raise typer.Exit(int(max(codes, key=_badness)))


def finish(result: dict[str, Json], *, as_json: bool, interrupted: bool = False, told: str = "") -> None:
    """Print a rollout's summary and end with its exit code; a reason that was ``told`` before is not told again."""
    from gopub.views.summary import exit_of

    if as_json:
        say_document(json.dumps({"schema_version": 1, **result}))
    else:
        say(_line(result, told))
    raise typer.Exit(int(Exit.INTERRUPTED if interrupted else exit_of(result)))


def _driven(flow: str, wanted: Sequence[tuple[str, str, dict[str, Json]]]) -> _Driven:
    """Run them, telling what happens."""
    from gopub.cli.engine import run_flows
    from gopub.cli.stopping import stop
    from gopub.views.follow import Follower, line_printer
    from gopub.wiring import settings

    journal = settings.journal()
    tellers = [_teller(f"{app} in {env}: " if len(wanted) > 1 else "") for app, env, _ in wanted]
    printers = [line_printer(tell) for tell in tellers]
    followers = [
        Follower(journal, app, env, printer, printer.idle, printer.known, own=True)
        for (app, env, _), printer in zip(wanted, printers, strict=True)
    ]
    interrupted: list[bool] = []

    async def follow() -> None:
        await asyncio.gather(*(follower.follow() for follower in followers))

    async def on_interrupt(cancels: Sequence[Callable[[], object]], why: str) -> None:
        interrupted.append(True)
        stops = zip(followers, cancels, tellers, strict=True)
        await asyncio.gather(*(stop(journal, follower, cancel, tell, why) for follower, cancel, tell in stops))

    try:
        results = run_flows(flow, [parameters for _, _, parameters in wanted], follow, on_interrupt)
    finally:
        for follower, printer in zip(followers, printers, strict=True):
            follower.catch_up()
            printer.pause()
    return _Driven(results, bool(interrupted), tuple(printer.reason for printer in printers))


def _teller(before: str) -> Callable[[str], None]:
    return partial(_talk, before)


def _talk(before: str, text: str) -> None:
    with suppress(OSError):  # nobody listens any more: no reason to leave a rollout alone
        say(before + text, err=True)


def _in_words(error: BaseException) -> BaseException:
    if isinstance(error, asyncio.CancelledError):
        return InterruptedByUser("GP952", "stopped before a rollout was begun", hint="nothing was rolled out")
    return error


def _ended(one: Found, result: Ended, told: str) -> Exit:
    """Tell how one of several ended; a fault of ours keeps its traceback."""
    from gopub.views.summary import exit_of

    error = _in_words(result) if isinstance(result, BaseException) else None
    if isinstance(error, GopubError):
        from gopub.cli.main import tell_error

        say(f"{one.app} {one.version} in {one.env}: could not be gone on with", err=True)
        tell_error(error)
        return error.exit
    if error is not None:
        import traceback

        say("".join(traceback.format_exception(error)), err=True)
        return Exit.FAILED
    summary = cast("dict[str, Json]", result)
    say(_line(summary, told))
    return exit_of(summary)


def _line(result: dict[str, Json], told: str = "") -> str:
    from gopub.rollout.failing import untold

    runs = f", {result['runs']} runs" if result.get("runs") not in (None, result["version"]) else ""
    reason = str(result.get("reason") or "")
    if (rest := untold(reason, told)) != reason:
        reason = f"hosts failed: `gopub explain` has what each said{f'; {rest}' if rest else ''}"
    why = f" ({reason})" if reason else ""
    edges = (f"edge {name}" for name in cast("list[str]", result.get("owed_edges") or []))
    owed = ", ".join((*cast("list[str]", result.get("owed") or []), *edges))
    end = f"{result['app']} {result['version']} in {result['env']}: {result['outcome']}{runs}{why}"
    if result["outcome"] == "mended":  # the version is that of the release that left it
        again = "not all that was owed is right yet" if owed else "what was owed is right again now"
        end = f"{result['app']} in {result['env']}: mended after {result['version']}{runs}; {again}{why}"
    if owed:
        end += f"\ncould not be confirmed, and owed: {owed}; `gopub recover` mends that when reachable"
    if left := cast("list[str]", result.get("left") or []):
        held = f"{', '.join(left)} hold a failed release, which is stopped"
        end += f"\nthere was nothing before: {held}; mend what failed, then deploy again"
    return end


def _badness(code: Exit) -> int:
    return _RISING.index(code) if code in _RISING else len(_RISING)
