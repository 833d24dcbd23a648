"""Of how many recorded requests and users another table would change the track; pure.

Who is warm, and whether a canary's term is over, is of the moment and not of the rules: both tables are asked as
if all peers were warm and no term ended. What a log does not keep of a request was, for a rule, not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from gopub.canon import Json
from gopub.traffic.accesslog import Recorded, Unread
from gopub.traffic.asked import TAGS, Asked
from gopub.traffic.conditions import Cookie, Header, Tag, walk
from gopub.traffic.explain import Explanation, explain
from gopub.traffic.headers import looked_for
from gopub.traffic.table import RouteTable

SHOWN = 10
MOST_USERS = 2_000_000
"""Users that are told apart; with more of them the number of users is a lower bound."""


@dataclass(frozen=True, slots=True)
class Move:
    """A request that would go elsewhere."""

    line: int
    asked: str
    before: Explanation
    after: Explanation


@dataclass(slots=True)
class Replayed:
    """What a replay found; filled while it runs."""

    requests: int = 0
    unread: int = 0
    first_unread: Unread | None = None
    ways: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Requests by the track before and after."""
    moves: list[Move] = field(default_factory=list)
    """The first of those that would move."""
    users: set[int] = field(default_factory=set)
    moved_users: set[int] = field(default_factory=set)
    unknown: frozenset[str] = frozenset()
    """Headers that a table asks for and that no line had."""

    @property
    def moved(self) -> int:
        """Requests whose track would change."""
        return sum(count for (before, after), count in self.ways.items() if before != after)

    def to_json(self) -> dict[str, Json]:
        """For ``gopub route replay --json``."""
        return {
            "schema_version": 1,
            "requests": self.requests,
            "moved": self.moved,
            "users": len(self.users),
            "moved_users": len(self.moved_users),
            "unread": self.unread,
            "ways": [{"from": one, "to": two, "requests": n} for (one, two), n in sorted(self.ways.items())],
            "moves": [_move_json(move) for move in self.moves],
            "unknown_headers": sorted(self.unknown),
        }


def replayed(log: Iterable[Recorded | Unread], before: RouteTable, after: RouteTable) -> Replayed:
    """Ask both tables of every request of the log."""
    old, new, found = _lasting(before), _lasting(after), Replayed()
    known: set[str] = set()
    for one in log:
        if isinstance(one, Unread):
            found.unread += 1
            found.first_unread = found.first_unread or one
            continue
        known |= one.known
        _ask(one, old, new, found)
    found.unknown = frozenset(asked_for(old) | asked_for(new)) - known
    return found


def _ask(one: Recorded, old: RouteTable, new: RouteTable, found: Replayed) -> None:
    was, will = explain(old, one.request), explain(new, one.request)
    found.requests += 1
    found.ways[was.track, will.track] += 1
    user = hash(Asked(new, one.request).subject or one.request.address)
    if len(found.users) < MOST_USERS:
        found.users.add(user)
    if was.track == will.track:
        return
    if len(found.moved_users) < MOST_USERS:
        found.moved_users.add(user)
    if len(found.moves) < SHOWN:
        query = f"?{one.request.query}" if one.request.query else ""
        found.moves.append(Move(one.number, f"{one.request.method} {one.request.path}{query}", was, will))


def asked_for(table: RouteTable) -> set[str]:
    """The headers that decide in a table, in lower case."""
    kind, _, name = table.sticky.partition(":")
    names = {looked_for(name)} if kind == "header" else {"cookie"} if kind == "cookie" else set()
    for rule in table.rules:
        for one in walk(rule.when):
            match one:
                case Header():
                    names.add(looked_for(one.name))
                case Cookie():
                    names.add("cookie")
                case Tag():
                    names.add(TAGS)
                case _:
                    pass
    return names


def _lasting(table: RouteTable) -> RouteTable:
    return replace(table, canary_until=None, warmup=0.0)


def _move_json(move: Move) -> dict[str, Json]:
    return {
        "line": move.line,
        "request": move.asked,
        "from": move.before.to_json(),
        "to": move.after.to_json(),
    }
