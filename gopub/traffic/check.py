"""Whether a route table can be obeyed: the same checks, in the same order and words, as validate.lua on the edge."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gopub.errors import UsageError
from gopub.spec.endpoints import MOST, pattern
from gopub.traffic.addresses import is_endpoint, is_network
from gopub.traffic.conditions import Header, Share, walk
from gopub.traffic.shapes import TAG, TOKEN, named_problems
from gopub.traffic.shapes import problems as condition_problems
from gopub.traffic.table import FULL, RouteTable, Rule, Track

RESERVED = ("bad-tags", "canary", "default", "lapsed", "none", "no-subject", "only-canary", "weight")
"""What the edge itself says in ``x-gopub-rule``; no rule may have such an id."""

MOST_CONDITIONS = 256
"""In all rules of a table together."""
_MOST = 2**53
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_PRINTABLE = re.compile(r"[ -~]*")
_RELEASE = re.compile(r"[0-9a-f]{12,64}")


def validate(table: RouteTable) -> None:
    """Refuse a table that no edge would take.

    Raises:
        UsageError: GP502 with the first thing that is wrong.
    """
    for problem in problems(table):
        raise UsageError("GP502", problem, hint="see docs/reference/route-table.md")


def problems(table: RouteTable) -> Iterator[str]:
    """Everything that is wrong with the table, in a fixed order."""
    yield from _names(table)
    yield from _numbers(table)
    yield from _texts(table)
    yield from _tracks(table)
    yield from _canary(table)
    for at, rule in enumerate(table.rules):
        yield from _rule(table, at, rule)
    yield from _conditions(table)
    for at, network in enumerate(table.trust):
        if not is_network(network):
            yield f'trust[{at}] "{network}" is not a network'
    yield from _endpoints(table)


def _names(table: RouteTable) -> Iterator[str]:
    for key, value in (("app", table.app), ("env", table.env), ("upstream", table.upstream)):
        if not _NAME.fullmatch(value):
            yield f'{key} "{value}" is not a name'


def _numbers(table: RouteTable) -> Iterator[str]:
    limits = (
        ("revision", table.revision, 1, _MOST),
        ("epoch", table.epoch, 0, _MOST),
        ("n", table.n, 0, _MOST),
        ("weight", table.weight, 0, FULL),
    )
    for key, value, least, most in limits:
        if not least <= value <= most:
            yield f"{key} {value} is not a whole number from {least} to {most}"
    if not 0 <= table.warmup <= 3600:
        yield "warmup is not a number of seconds from 0 to 3600"
    if not 0 <= table.weight_from <= FULL:
        yield f"weight_from {table.weight_from} is not a whole number from 0 to {FULL}"


def _texts(table: RouteTable) -> Iterator[str]:
    for key, value in (("token", table.token), ("rollout", table.rollout), ("salt", table.salt)):
        if len(value) > 128 or not _PRINTABLE.fullmatch(value):
            yield f"{key} is not printable ASCII of at most 128 characters"
    kind, _, name = table.sticky.partition(":")
    if table.sticky != "address" and not (kind in ("header", "cookie") and TOKEN.fullmatch(name)):
        yield f'sticky "{table.sticky}" is none of address, header:NAME, cookie:NAME'


def _tracks(table: RouteTable) -> Iterator[str]:
    seen: set[str] = set()
    for key, track in (("stable", table.stable), ("canary", table.canary)):
        if track is not None:
            yield from _track(key, track, seen)


def _track(key: str, track: Track, seen: set[str]) -> Iterator[str]:
    if not _RELEASE.fullmatch(track.release):
        yield f'{key}.release "{track.release}" is not 12 to 64 hex digits'
    if track.tag is not None and not TAG.fullmatch(track.tag):
        yield f'{key}.tag "{track.tag}" is not a tag'
    for at, peer in enumerate(track.peers):
        if not _HOST.fullmatch(peer.host):
            yield f'{key}.peers[{at}].host "{peer.host}" is not a host name'
        if not is_endpoint(peer.address):
            yield f'{key}.peers[{at}].address "{peer.address}" is not ip:port'
        for kind, value in (("host", peer.host), ("address", peer.address)):
            if f"{kind} {value}" in seen:
                yield f'{kind} "{value}" stands in the table twice'
            seen.add(f"{kind} {value}")


def _canary(table: RouteTable) -> Iterator[str]:
    if table.canary is None:
        wants = (
            ("weight", table.weight > 0),
            ("rules", bool(table.rules)),
            ("canary_until", table.canary_until is not None),
        )
        yield from (f"{key} needs a canary track" for key, wanted in wants if wanted)
    elif table.weight and not table.salt:
        yield "weight needs a salt"


def _rule(table: RouteTable, at: int, rule: Rule) -> Iterator[str]:
    if not _NAME.fullmatch(rule.id) or rule.id in RESERVED:
        yield f'rules[{at}].id "{rule.id}" is not a free name'
    if any(earlier.id == rule.id for earlier in table.rules[:at]):
        yield f'rule "{rule.id}" stands in the table twice'
    if isinstance(rule.when, Header) and rule.to == "canary" and rule.until is None:
        yield from named_problems(rule.when, f"rules[{at}].header")
    else:
        yield from condition_problems(rule.when, f"rules[{at}].when")


def _conditions(table: RouteTable) -> Iterator[str]:
    found = [one for rule in table.rules for one in walk(rule.when)]
    if len(found) > MOST_CONDITIONS:
        yield f"rules have {len(found)} conditions, and {MOST_CONDITIONS} at most"
    if not table.salt and any(isinstance(one, Share) for one in found):
        yield "share needs a salt"


def _endpoints(table: RouteTable) -> Iterator[str]:
    if len(table.endpoints) > MOST:
        yield f"endpoints are {len(table.endpoints)}, and {MOST} at most"
    for at, endpoint in enumerate(table.endpoints):
        if pattern(endpoint.match) is None:
            yield f'endpoints[{at}].match "{endpoint.match}" is no endpoint'
        if any(earlier.match == endpoint.match for earlier in table.endpoints[:at]):
            yield f'endpoint "{endpoint.match}" stands in the table twice'
        if endpoint.slow is not None and not 0.001 <= endpoint.slow <= 600:
            yield f"endpoints[{at}].slow is not a number of seconds from 0.001 to 600"
