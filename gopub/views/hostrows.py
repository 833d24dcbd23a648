"""The hosts of a rollout as a table that a page has room for, however many there are. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.state import HostState, State
from gopub.plan.model import Outcome
from gopub.views.amounts import count
from gopub.views.pages import table
from gopub.views.plan import named

MOST_HOSTS = 30
"""Rows: what a screen shows. Whoever is looked for at night is among the first; the others are counted."""
_HEAD = ("host", "runs", "track", "new release", "last error")


def host_table(state: State, entries: Sequence[Entry]) -> str:
    """First those that are owed, then those that failed, then those at work, then the canaries; empty without a plan.

    What does not fit is counted, in groups that stand alike.
    """
    if state.plan is None:
        return ""
    errors = last_errors(entry.event for entry in entries)
    order = sorted(state.hosts.items(), key=lambda one: _rank(state, one[0], one[1], errors))
    most = min(len(order), MOST_HOSTS)
    before = {host.name: host.before for host in state.plan.hosts}
    folders = {host.folder(state.plan.release.release) for host in state.plan.hosts}
    rows = [
        (name, named(state.plan, host.runs or before[name]), *_stands(state, host, folders),
         _error(name, host, errors) or "-")
        for name, host in order[:most]
    ]  # fmt: skip
    alike = Counter((*_stands(state, host, folders), bool(_error(name, host, errors))) for name, host in order[most:])
    return table(_HEAD, rows) + (_counted(state.rollout, alike) if alike else "")


def last_errors(events: Iterable[ev.Event]) -> dict[str, str]:
    """Of each host the last thing that it failed; what it did well afterwards ends it."""
    errors: dict[str, str] = {}
    for event in events:
        match event:
            case ev.HostFailed(host=host, code=code, message=message):
                errors[host] = f"{code} {message}"
            case ev.HostStaged(host=host) | ev.HostSwitched(host=host, track="canary"):
                errors.pop(host, None)
            case _:
                pass
    return errors


def _rank(state: State, name: str, host: HostState, errors: Mapping[str, str]) -> int:
    if host.owed:
        return 0
    if name in errors:
        return 1
    turned = state.back is not None or state.closed is not None
    if not turned and state.step and name in state.step.hosts and host.track != "canary":
        return 2
    return 3 if host.track == "canary" else 4


def _stands(state: State, host: HostState, folders: Collection[str]) -> tuple[str, str]:
    """Its track, and whether it has the new release."""
    promoted = state.closed is not None and state.closed.outcome is Outcome.PROMOTED
    new = host.runs in folders
    return "stable" if promoted else host.track, "runs" if new else "staged" if host.staged else "not there yet"


def _error(name: str, host: HostState, errors: Mapping[str, str]) -> str:
    return host.owed or errors.get(name, "")


def _counted(rollout: str, alike: Counter[tuple[str, str, bool]]) -> str:
    """Those that are left out, by how they stand."""
    groups = "; ".join(
        f"{count(many)} {track}, new release: {has}{', with an error' if wrong else ''}"
        for (track, has, wrong), many in alike.most_common()
    )
    return f"\n\nAnd {count(alike.total())} more hosts ({groups}). What became of each: `gopub explain {rollout}`"
