"""Sticky salted buckets: the same subject keeps its bucket for a whole rollout, and draws anew in the next one.

murmur3_x86_32 as on the edge (murmur3.lua); tests/cases/traffic/buckets.yaml binds both.
"""

from __future__ import annotations

from gopub.traffic.table import FULL

_MASK = 0xFFFFFFFF


def murmur3_x86_32(data: bytes) -> int:
    """The unsigned 32-bit hash with seed 0.

    Source: Austin Appleby, MurmurHash3.cpp (public domain).
    """
    whole = len(data) - len(data) % 4
    state = 0
    for at in range(0, whole, 4):
        state ^= _mix(int.from_bytes(data[at : at + 4], "little"))
        state = (_rotate(state, 13) * 5 + 0xE6546B64) & _MASK
    state ^= _mix(int.from_bytes(data[whole:], "little"))
    return _finish(state ^ len(data))


def bucket(salt: str, subject: str) -> int:
    """The subject's place among 0..9999; the canary takes those below its weight."""
    return murmur3_x86_32(f"{salt}:{subject}".encode()) % FULL


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> (32 - by)) & _MASK


def _mix(block: int) -> int:
    return _rotate(block * 0xCC9E2D51 & _MASK, 15) * 0x1B873593 & _MASK


def _finish(state: int) -> int:
    state = (state ^ state >> 16) * 0x85EBCA6B & _MASK
    state = (state ^ state >> 13) * 0xC2B2AE35 & _MASK
    return state ^ state >> 16
