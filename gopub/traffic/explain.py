"""Which peer a request would reach, by which rule and why: the edge's own decision (decide.lua), in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gopub.canon import Json
from gopub.traffic.asked import Asked, Request
from gopub.traffic.buckets import bucket
from gopub.traffic.conditions import Tag, said, walk
from gopub.traffic.matching import holds
from gopub.traffic.table import RouteTable, Rule, Track


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where the request goes. ``rule`` is what the edge writes before the ``@`` of ``x-gopub-rule``.

    ``hosts`` are the peers that take turns; ``subject`` and ``bucket`` are set where a percentage was asked.
    """

    track: Literal["stable", "canary", "none"]
    rule: str
    why: str
    release: str = ""
    hosts: tuple[str, ...] = ()
    subject: str | None = None
    bucket: int | None = None

    def to_json(self) -> dict[str, Json]:
        """For ``gopub route explain --json``."""
        return {
            "track": self.track,
            "rule": self.rule,
            "why": self.why,
            "release": self.release,
            "hosts": list(self.hosts),
            "subject": self.subject,
            "bucket": self.bucket,
        }


def explain(table: RouteTable, request: Request) -> Explanation:
    """Decide as the edge does.

    1. A track without peers does not exist; with one track left, it takes everything.
    2. A canary whose term is over takes nothing, where ``lapse`` is ``stable``.
    3. A request whose tags are malformed goes to stable, where a rule asks for tags.
    4. The first rule whose time is not over and whose condition holds sends it to the track that the rule names.
    5. The percentage draws by the subject's bucket; without a subject the request goes to stable. While peers of
       the canary warm up, the percentage grows to what it shall be.
    """
    stable, canary = _some(table.stable), _some(table.canary)
    # 1
    if canary is None:
        return _to("stable", stable, "default", "there is no canary") if stable else _NOWHERE
    if stable is None:
        return _to("canary", canary, "only-canary", "there is no stable peer")
    # 2
    if table.lapse == "stable" and table.canary_until is not None and request.at >= table.canary_until:
        why = f"the canary's term ended {request.at - table.canary_until:.3f}s ago"
        return _to("stable", stable, "lapsed", why)
    # 3
    asked = Asked(table, request)
    if asked.tags is None and any(isinstance(one, Tag) for rule in table.rules for one in walk(rule.when)):
        return _to("stable", stable, "bad-tags", "its x-gray-tag is no list of tags")
    # 4
    for rule in table.rules:
        if _matches(rule, asked, table.salt):
            return _to(rule.to, canary if rule.to == "canary" else stable, rule.id, said(rule.when, asked.at))
    # 5
    return _by_weight(table, stable, canary, asked)


def _matches(rule: Rule, asked: Asked, salt: str) -> bool:
    return (rule.until is None or asked.at < rule.until) and holds(rule.when, asked, salt)


def _by_weight(table: RouteTable, stable: Track, canary: Track, seen: Asked) -> Explanation:
    if table.weight == 0:
        return _to("stable", stable, "default", "the canary's weight is 0")
    subject = seen.subject
    if not subject:
        return _to("stable", stable, "no-subject", f"the request has no {table.sticky}{seen.lost()}")
    place, weight = bucket(table.salt, subject), table.weight_at(seen.at)
    inside = place < weight
    why = f"bucket {place} of {table.sticky} {subject!r} is {'below' if inside else 'not below'} {weight}"
    if weight != table.weight:
        why += f" (of {table.weight}: the canary warms up)"
    if inside:
        return _to("canary", canary, "weight", why, (subject, place))
    return _to("stable", stable, "default", why, (subject, place))


_NOWHERE = Explanation("none", "none", "no track has a peer")


def _some(track: Track | None) -> Track | None:
    return track if track and track.peers else None


def _to(
    name: Literal["stable", "canary"],
    track: Track,
    rule: str,
    why: str,
    drawn: tuple[str, int] | None = None,
) -> Explanation:
    hosts = tuple(peer.host for peer in track.peers)
    subject, place = drawn or (None, None)
    return Explanation(name, rule, why, track.release[:12], hosts, subject, place)
