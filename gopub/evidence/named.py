"""Who is believed of all whom an authority certified: those whom a policy names, before anything of theirs is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gopub.errors import RefusedError
from gopub.evidence.bundle import statement_about
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.signers import IdentityRule
from gopub.evidence.verifier import Said, Signed


@dataclass(frozen=True, slots=True)
class NamedVerifier:
    """Believes a verifier of certificates, and of all whom it believes only those whom a rule means.

    Whoever has an account at an issuer has a certificate: without rules nothing of theirs may even be parsed.
    """

    verifier: KeylessVerifier
    rules: Sequence[IdentityRule]

    def blob(self, bundle: bytes, digest: str) -> Signed:
        """See :meth:`Verifier.blob`."""
        return self._meant(self.verifier.blob(bundle, digest))

    def statement(self, bundle: bytes, digest: str) -> Said:
        """See :meth:`Verifier.statement`."""
        by, payload = self.verifier.envelope(bundle)
        return Said(self._meant(by), statement_about(payload, digest))

    def _meant(self, signed: Signed) -> Signed:
        claims = signed.claims
        misfits = [rule.misfits(claims) for rule in self.rules] if claims else ["a key signed"]
        if "" not in misfits:
            raise RefusedError("GP311", f"whoever signed is not accepted: {'; '.join(misfits[:3])}",
                               hint="admit.signed says whose signatures count")  # fmt: skip
        return signed
