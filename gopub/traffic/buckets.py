"""Sticky salted buckets: the same subject keeps its bucket for a whole rollout, and draws anew in the next one.

The hash is murmur3_x86_32 with seed 0, unsigned, as on the edge (murmur3.lua); tests/cases/traffic/buckets.yaml binds
both.
"""

from __future__ import annotations

import mmh3

from gopub.traffic.table import FULL


def bucket(salt: str, subject: str) -> int:
    """The subject's place among 0..9999; the canary takes those below its weight.

    Bytes that are no UTF-8 are what they were where they came in as Python reads arguments (``surrogateescape``).
    """
    return mmh3.mmh3_32_uintdigest(f"{salt}:{subject}".encode("utf-8", "surrogateescape")) % FULL
