"""`gopub status` and `gopub explain`: what the journal says. They read only, and need neither Prefect nor hosts."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from gopub.cli.saying import say, say_table

if TYPE_CHECKING:
    from gopub.rollout.journal import Entry, Journal
    from gopub.rollout.machine import EnvState, State

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
    from gopub.drive import settings

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
    from gopub.cli.explaining import explanation, explanation_json
    from gopub.cli.meaning import meant
    from gopub.drive import settings
    from gopub.rollout.run import stream_of

    journal = settings.journal()
    entries = journal.read(stream_of(meant(journal, rollout, app, env, changes=False)))
    if as_json:
        say(json.dumps(explanation_json(entries), indent=2, ensure_ascii=False))
        return
    say("\n".join(explanation(entries)))


def _row(journal: Journal, stream: str) -> dict[str, object]:
    from gopub.rollout.machine import fold_env

    _, app, env = stream.split("/", 2)
    entries = journal.read(stream)
    state = fold_env(entry.event for entry in entries)
    return {
        "app": app,
        "env": env,
        "stable": state.stable_version or None,
        "release": state.stable[:12] or None,
        "since": _when(entries),
        "active": _active(journal, state, app, env),
        "quarantined": sorted(release[:12] for release in state.quarantine),
        "automatic_rollbacks_in_a_row": state.automatic_rollbacks,
        "owed_edges": list(state.owed_edges),
    }


def _active(journal: Journal, env_state: EnvState, app: str, env: str) -> dict[str, object] | None:
    from gopub.drive.asking import asked
    from gopub.drive.holds import held, standing
    from gopub.rollout.gates import hold_of
    from gopub.rollout.machine import next_action
    from gopub.rollout.opening import read_state

    if not env_state.active:
        return None
    state: State = read_state(journal, env_state.active)
    seated, said = journal.seated(app, env), asked(journal, env_state.active)
    return {
        "rollout": env_state.active,
        "version": state.release_version,
        "next": next_action(state).value if state.rollout else "admit",
        "step": state.step.says if state.plan and state.step else None,
        "observed": _observed(state),
        "waiting": state.waiting or None,
        "held": held(state, hold_of(said)),
        "until": standing(state, said, time.time()).until or None,
        "verdict": f"{state.verdict.kind} by rule {state.verdict.rule}: {state.verdict.reason}"
        if state.verdict
        else None,
        "driver": seated[0].holder if seated else None,
        "driver_alive": bool(seated and seated[1]),
        "owed": list(state.owed),
    }


def _observed(state: State) -> dict[str, float] | None:
    """How many seconds of the step's bake were observed, as of the last verdict, and how many are needed."""
    if state.step is None or state.step.index not in state.reached:
        return None
    return {"seconds": state.observed.get(state.step.index, 0.0), "needed": state.step.bake}


def _when(entries: list[Entry]) -> str | None:
    at = entries[-1].at if entries else None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") if at else None


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
