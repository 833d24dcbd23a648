"""`gopub status` and `gopub explain`: what the journal says. They read only, and need neither Prefect nor hosts."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gopub.cli.saying import say, say_table
from gopub.views.status import _row

AppOption = Annotated[str, typer.Option("--app", help="Only this app.")]
EnvOption = Annotated[str, typer.Option("--env", "-e", help="Only this env.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def status(
    app: AppOption = "",
    env: EnvOption = "",
    as_json: JsonOption = False,
    verify: Annotated[bool, typer.Option("--verify", help="Walk the journal's hash chain as well.")] = False,
) -> None:
    """Show what each env runs, what is under way, who drives it, and what is owed."""
    from gopub.wiring import settings

    journal = settings.journal()
    entries = journal.verify() if verify else None
    rows = [_row(journal, stream) for stream in journal.streams("env/")]
    rows = [row for row in rows if app in ("", row["app"]) and env in ("", row["env"])]
    if as_json:
        say(json.dumps({"schema_version": 1, "envs": rows, "entries_verified": entries}, indent=2))
        return
    if entries is not None:
        say(f"journal: {entries} entries, the chain holds", err=True)
    if not rows:
        say("nothing was released here yet", err=True)
        return
    _print_table(rows)


def explain(
    rollout: Annotated[
        str, typer.Argument(help="A rollout's id, or the beginning of it; else the newest of this folder's app.")
    ] = "",
    app: AppOption = "",
    env: EnvOption = "",
    as_json: JsonOption = False,
) -> None:
    """Print the chain from commit to verdict of a rollout: every entry, and for each verdict what it was drawn from."""
    from gopub.cli.meaning import meant
    from gopub.journal.streams import stream_of
    from gopub.views.explanation import explanation, explanation_json
    from gopub.wiring import settings

    journal = settings.journal()
    entries = journal.read(stream_of(meant(journal, rollout, app, env, changes=False)))
    if as_json:
        say(json.dumps(explanation_json(entries), indent=2, ensure_ascii=False))
        return
    say("\n".join(explanation(entries)))


def _owed(row: dict[str, object]) -> str:
    """What is left of the last rollout where none is under way."""
    edges = row["owed_edges"]
    if not isinstance(edges, list) or not edges:
        return "-"
    return f"{', '.join(edges)} missed the way back; run `gopub recover` when reachable"


def _doing(active: dict[str, object]) -> object:
    """What a rollout that is under way does, or what it waits for."""
    held = active.get("held")
    baked = active.get("observed")
    observed = f" (observed {baked['seconds']:.0f}s of {baked['needed']:g}s)" if isinstance(baked, dict) else ""
    if not isinstance(held, dict):
        if active.get("waiting") and active.get("until"):
            return f"{active['waiting']} (opens {active['until']})"
        return f"{active.get('waiting') or active.get('step') or active.get('next')}{observed}"
    why = f" ({held['reason']})" if held["reason"] else ""
    end = f"; goes back at {held['until']}" if held["until"] else ""
    return f"held by {held['by']} since {held['since']}{why}{end}; `gopub resume` goes on"


def _print_table(rows: list[dict[str, object]]) -> None:
    cells: list[tuple[object, ...]] = []
    for row in rows:
        active = row["active"] if isinstance(row["active"], dict) else {}
        doing = f"{active.get('version')}: {_doing(active)}" if active else _owed(row)
        alive = "" if active.get("driver_alive") else " (gone; run `gopub recover`)"
        driver = f"{active.get('driver')}{alive}" if active and not active.get("waiting") else "-"
        cells.append((row["app"], row["env"], row["stable"] or "-", row["release"] or "-", doing, driver))
    say_table(("app", "env", "stable", "release", "under way", "driver"), cells)
