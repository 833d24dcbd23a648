"""Explanations and edges told to people; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from gopub.canon import Json
from gopub.traffic.addresses import Networks
from gopub.traffic.asked import Request
from gopub.traffic.conditions import said
from gopub.traffic.explain import Explanation
from gopub.traffic.headers import OURS
from gopub.traffic.outcomes import Outcome
from gopub.traffic.protocol import MOST_SKEW, EdgeFiles, EdgeSource, EdgeStatus, say_skew
from gopub.traffic.replaying import MOST_USERS, Replayed
from gopub.traffic.shapes import SCHEMA
from gopub.traffic.signed import EdgeSigning, say_signing
from gopub.traffic.table import FULL, RouteTable, Rule, Track, to_json
from gopub.units import say_seconds


def say_explanation(found: Explanation, *, revision: int, edge: str = "", skew: float | None = None) -> str:
    """Two lines: where to, and why; a third one where the edge's clock, by which it decides, is not ours."""
    where = f"{found.track} {found.release}: {', '.join(found.hosts)}" if found.hosts else "nowhere: 503"
    whose = f"edge {edge}, " if edge else ""
    return "\n  ".join([where, f"rule {found.rule} ({whose}revision {revision}): {found.why}", *_clock(skew)])


def say_trust(table: RouteTable, request: Request) -> Iterator[str]:
    """A line where the request claims what only a trusted address may."""
    names = request.headers if isinstance(request.headers, Mapping) else (name for name, _ in request.headers)
    claims = sorted({name.lower() for name in names if name.lower().startswith((*OURS, "x-forwarded-"))})
    if not claims:
        return
    where = next((one for one in table.trust if Networks([one]).hold(request.address)), None)
    count = "count" if where else "do not count, and are taken off"
    why = f"is trusted ({where})" if where else "is in no network of `trust`"
    yield f"{request.address} {why}: its {', '.join(claims)} {count}"


def say_carried(table: RouteTable, found: Explanation) -> Iterator[str]:
    """A line where the track that it gets gives it a tag for what it calls next."""
    track = {"canary": table.canary, "stable": table.stable}.get(found.track)
    if track and track.tag:
        yield f"it carries the tag {track.tag} on"


_BECAME = {"matched": "yes", "missed": "no", "over": "no", "unasked": "not asked"}


def say_outcomes(found: tuple[Outcome, ...]) -> Iterator[str]:
    """A line for each rule, in their order; none where the only one decided, or none was asked."""
    if all(one.became == "unasked" for one in found) or [one.became for one in found] == ["matched"]:
        return
    for one in found:
        yield f"rule {one.id}: {_BECAME[one.became]}, {one.why}"


def say_replayed(found: Replayed) -> Iterator[str]:
    """First how many would move, then from where to where, then examples, then what could not be told."""
    few = "" if len(found.users) < MOST_USERS else "more than "
    yield (
        f"{found.moved} of {found.requests} requests ({found.moved / found.requests:.2%}) and {len(found.moved_users)} "
        f"of {few}{len(found.users)} users would change their track"
    )
    for (before, after), count in sorted(found.ways.items()):
        yield f"  {before} stays: {count}" if before == after else f"  {before} to {after}: {count}"
    for move in found.moves:
        yield f"line {move.line}: {move.asked}"
        for name, side in (("now", move.before), ("then", move.after)):
            yield f"  {name} {side.track} by {side.rule}: {side.why}"
    if found.first_unread:
        first = found.first_unread
        yield f"{found.unread} lines are no requests; the first is line {first.number}: {first.why}"
    for name in sorted(found.unknown):
        key = f"http_{name.replace('-', '_')}"
        yield f"no line has the header {name}, for which a table asks: log it as {key}, or it counts as missing"


def say_files(found: EdgeFiles) -> str:
    """One edge and its files; what nginx said stands below, word for word."""
    first, *more = found.said.splitlines() or ["its files are right"]
    if found.fine:
        return f"edge {found.edge}: its files are right"
    return "\n  ".join([f"edge {found.edge}: {first}", *more])


def say_status(status: EdgeStatus, now: float) -> str:
    """One edge, or the source, in a few lines; ``now`` is by our clock."""
    if status.is_source:
        held = f"it holds revision {status.revision}" if status.table else "it holds no table"
        return f"{status.edge}: {status.error or held}"
    if status.error:
        return f"edge {status.edge}: {status.error}"
    there = now + (status.skew or 0.0)
    more = (*_keys(status, there), *_source(status.source, there), *_clock(status.skew), *_older(status))
    if status.table is None:
        return "\n  ".join([f"edge {status.edge}: no table", *more])
    return "\n  ".join([f"edge {status.edge}", *_lines(status.table, status, there), *more])


def _older(status: EdgeStatus) -> Iterator[str]:
    if 0 < status.tables < SCHEMA["version"]:
        yield "its files are of an older gopub, which does not know all rules of traffic: `gopub route install`"


def _keys(status: EdgeStatus, there: float) -> Iterator[str]:
    if status.signing is None:
        return
    said = say_signing(status.signing, there)
    if status.table is None:
        next(said)  # there is no table that could be signed
    yield from said


def _source(source: EdgeSource | None, now: float) -> Iterator[str]:
    if source is None:
        return
    heard = f"it last answered {_ago(source.last, now)}" if source.last else "it never answered"
    if not source.up:
        since = _ago(source.since, now)
        yield f"source {source.kind}: away, as of {since}, {heard}: {source.what}; its last table goes on"
        return
    yield f"source {source.kind}: up, {heard}"
    if source.what or source.refused:
        yield f"{source.refused} of its values were not taken{f', lastly {source.what}' if source.what else ''}"


def _ago(at: float, now: float) -> str:
    return f"{say_seconds(max(0.0, round(now - at)))} ago"


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
        yield f"rule {rule.id}: {said(rule.when, now)}, to {rule.to}{_over(rule, now)}"


def _over(rule: Rule, now: float) -> str:
    if rule.until is None:
        return ""
    left = rule.until - now
    return f", ends in {say_seconds(round(left, 1))}" if left > 0 else ", its time is over"


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
        "tables": status.tables,
        "source": asdict(status.source) if status.source else None,
        "signing": _signing_json(status.signing),
    }


def _signing_json(found: EdgeSigning | None) -> Json:
    if found is None:
        return None
    return {
        "key": found.key or None,
        "believed": found.believed,
        "since": found.since,
        "keys": list(found.keys),
        "broken": dict(found.broken),
        "refused": asdict(found.refused) if found.refused else None,
    }
