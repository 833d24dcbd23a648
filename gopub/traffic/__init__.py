"""Traffic: route tables, who gets the canary and why, and the edges that obey."""

from gopub.traffic.check import validate
from gopub.traffic.table import FULL, Peer, RouteTable, Rule, Track, encode, to_json
from gopub.traffic.wire import from_json

__all__ = [
    "FULL",
    "Peer",
    "RouteTable",
    "Rule",
    "Track",
    "encode",
    "from_json",
    "to_json",
    "validate",
]
