"""Traffic: route tables, who gets the canary and why, and the edges that obey."""

from gopub.traffic.asked import Request
from gopub.traffic.buckets import bucket
from gopub.traffic.check import validate
from gopub.traffic.explain import Explanation, explain
from gopub.traffic.protocol import (
    MOST_SKEW,
    EdgeAck,
    EdgeStatus,
    Router,
    agree_on_latency,
    agree_on_time,
    confirm,
    in_flight,
)
from gopub.traffic.table import FULL, Endpoint, Peer, RouteTable, Rule, Track, encode, to_json
from gopub.traffic.wire import from_json

__all__ = [
    "FULL",
    "MOST_SKEW",
    "EdgeAck",
    "EdgeStatus",
    "Endpoint",
    "Explanation",
    "Peer",
    "Request",
    "RouteTable",
    "Router",
    "Rule",
    "Track",
    "agree_on_latency",
    "agree_on_time",
    "bucket",
    "confirm",
    "encode",
    "explain",
    "from_json",
    "in_flight",
    "to_json",
    "validate",
]
