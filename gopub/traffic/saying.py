"""Explanations and edges told to people; pure."""

from __future__ import annotations

from collections.abc import Iterator

from gopub.canon import Json
from gopub.traffic.explain import Explanation
from gopub.traffic.protocol import MOST_SKEW, EdgeFiles, EdgeStatus, say_skew
from gopub.traffic.table import FULL, RouteTable, Track, to_json
from gopub.units import say_seconds


def say_explanation(found: Explanation, *, revision: int, edge: str = "", skew: float | None = None) -> str:
    """Two lines: where to, and why; a third one where the edge's clock, by which it decides, is not ours."""
    where = f"{found.track} {found.release}: {', '.join(found.hosts)}" if found.hosts else "nowhere: 503"
    whose = f"edge {edge}, " if edge else ""
    return "\n  ".join([where, f"rule {found.rule} ({whose}revision {revision}): {found.why}", *_clock(skew)])


def say_files(found: EdgeFiles) -> str:
    """One edge and its files; what nginx said stands below, word for word."""
    first, *more = found.said.splitlines() or ["its files are right"]
    if found.fine:
        return f"edge {found.edge}: its files are right"
    return "\n  ".join([f"edge {found.edge}: {first}", *more])


def say_status(status: EdgeStatus, now: float) -> str:
    """One edge in a few lines; ``now`` is by our clock."""
    if status.error:
        return f"edge {status.edge}: {status.error}"
    if status.table is None:
        return "\n  ".join([f"edge {status.edge}: no table", *_clock(status.skew)])
    there = now + (status.skew or 0.0)
    return "\n  ".join([f"edge {status.edge}", *_lines(status.table, status, there), *_clock(status.skew)])


def _clock(skew: float | None) -> Iterator[str]:
    if skew is not None and abs(skew) > MOST_SKEW:
        yield f"its clock is {say_skew(skew)} this machine's: no canary can grow; set the one that is wrong"


def _lines(table: RouteTable, status: EdgeStatus, now: float) -> Iterator[str]:
    yield f"{table.app}/{table.env}: revision {table.revision}, epoch {table.epoch}, order {table.n}"
    for name, track in (("stable", table.stable), ("canary", table.canary)):
        if track:
            yield f"{name} {track.release[:12]}: {_peers(track, status)}"
    left = sorted(host for host, count in status.inflight.items() if count and host not in table.hosts())
    if left:
        yield "leaving: " + ", ".join(f"{host} ({status.inflight[host]} in flight)" for host in left)
    if table.canary:
        yield f"weight {table.weight * 100 / FULL:g}% by {table.sticky}{_term(table, now)}"
    for rule in table.rules:
        yield f"rule {rule.id}: {rule.header_name}: {rule.header_value}"


def _peers(track: Track, status: EdgeStatus) -> str:
    counts = (f"{peer.host} ({status.inflight.get(peer.host, 0)} in flight)" for peer in track.peers)
    return ", ".join(counts) or "no peer"


def _term(table: RouteTable, now: float) -> str:
    if table.canary_until is None:
        return ""
    left = table.canary_until - now
    if left > 0:
        return f", ends by itself in {say_seconds(round(left, 1))}"
    return ", its term is over" + ("" if table.lapse == "stable" else " but stable cannot carry the load")


def status_json(status: EdgeStatus) -> dict[str, Json]:
    """For ``gopub route show --json``."""
    return {
        "edge": status.edge,
        "error": status.error,
        "table": to_json(status.table) if status.table else None,
        "inflight": dict(status.inflight),
        "skew": status.skew,
    }
