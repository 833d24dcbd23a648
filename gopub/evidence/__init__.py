"""What is stated, signed and checked about artifacts: signatures, SBOMs, provenance, admission."""

from gopub.evidence.admission import (
    Admission,
    AdmissionFacts,
    AdmissionPolicy,
    ProvenanceFacts,
    TargetFacts,
    admit,
)
from gopub.evidence.bundle import (
    claimed_name,
    claimed_signer,
    sign_blob,
    sign_statement,
    verify_blob,
    verify_digest,
    verify_dsse,
)
from gopub.evidence.checks import Check
from gopub.evidence.keys import KeyFiles, KeySigner, PublicKey, Signer, generate, private_key_in
from gopub.evidence.statement import Subject, statement

__all__ = [
    "Admission",
    "AdmissionFacts",
    "AdmissionPolicy",
    "Check",
    "KeyFiles",
    "KeySigner",
    "ProvenanceFacts",
    "PublicKey",
    "Signer",
    "Subject",
    "TargetFacts",
    "admit",
    "claimed_name",
    "claimed_signer",
    "generate",
    "private_key_in",
    "sign_blob",
    "sign_statement",
    "statement",
    "verify_blob",
    "verify_digest",
    "verify_dsse",
]
