"""Who may sign, where certificates name somebody; and whether a certificate and a statement say the same. Pure.

The repository, the ref and the commit of a build are the certificate's word where there is one: its authority had them
from the CI system, while the statement is written by whoever builds. A statement that says otherwise is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from gopub.evidence.claims import Claims
from gopub.evidence.origin import names_of, place, shown
from gopub.spec.stars import glob


@dataclass(frozen=True, slots=True)
class IdentityRule:
    """An identity and an issuer, as patterns, and the name of the trust config that they count in."""

    identity: str
    issuer: str
    trust: str

    def misfits(self, claims: Claims) -> str:
        """Why a certificate is not meant; empty where it is."""
        if claims.trust != self.trust:
            return f"certified in {shown(claims.trust)}, and not in {self.trust}"
        if not glob(self.issuer).matches(claims.issuer):
            return f"the issuer {shown(claims.issuer)} is not {self.issuer}"
        if not glob(self.identity).matches(claims.identity):
            return f"the identity {shown(claims.identity)} is not {self.identity}"
        return ""


def disagreement(claims: Claims, repository: str, ref: str, commit: str) -> str:
    """In what a statement says otherwise than the certificate that signed it; empty in nothing."""
    build = claims.build
    sure, said = build.source_repository_uri, repository
    if sure and said and place(sure) != place(said):
        return f"the certificate is of {shown(sure)}, and the provenance says {shown(said)}"
    if build.source_repository_ref and ref and build.source_repository_ref not in names_of(ref):
        return f"the certificate is of {shown(build.source_repository_ref)}, and the provenance says {shown(ref)}"
    if build.source_repository_digest and commit and build.source_repository_digest != commit:
        return f"the certificate is of commit {build.source_repository_digest[:12]}, and release.json of {commit[:12]}"
    return ""
