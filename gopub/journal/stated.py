"""What an admission stated, as the journal keeps it beside its checks. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stated:
    """For hosts of which kind, until when (as in ``2026-11-30T12:00:00Z``), at which level, where, and as which text.

    ``place`` is its key in the store, ``text`` its lines with the signature under them, ``key`` the fingerprint of who
    signed it (empty in what older versions kept).
    """

    target: str
    expires: str
    level: str
    place: str
    text: str
    key: str = ""
