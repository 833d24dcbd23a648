"""What a certificate says of its signer, as policies and people read it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gopub.evidence.claims import Claims, Clock, Naming, SignedAt

AT = datetime(2026, 1, 2, tzinfo=UTC)
SAID = Claims("https://ci/a@refs/tags/v1", Naming.URI, "https://ci", (SignedAt(AT, Clock.TSA),), "corp")


def test_another_issuer_or_trust_is_somebody_else() -> None:
    """Else whoever runs one issuer of several that are believed could pass for the signer of another."""
    names = {one.signer for one in (SAID, replace(SAID, issuer="https://other"), replace(SAID, trust="other"))}
    assert len(names) == 3 and SAID.signer == "https://ci/a@refs/tags/v1 of https://ci in corp"


def test_it_was_signed_at_the_earliest_of_its_times() -> None:
    later = SignedAt(AT + timedelta(seconds=5), Clock.LOG)
    assert replace(SAID, times=(later, *SAID.times)).first == AT
