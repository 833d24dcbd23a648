"""How it is told that a signature, an entry of a log or a timestamp is not believed: by the step that failed. Pure."""

from __future__ import annotations

from enum import StrEnum

from gopub.errors import RefusedError


class Step(StrEnum):
    """What is checked, as a refusal names it; the page of GP317 has a row for each."""

    CERTIFICATE = "certificate"
    SIGNATURE = "signature"
    LOG = "log entry"
    BODY = "log body"
    TIME = "time"
    AUTHORITY = "authority"
    CT = "certificate log"
    WINDOW = "log window"
    LIBRARY = "sigstore"
    IDENTITY = "identity"


def unbelieved(step: Step, why: str) -> RefusedError:
    """The refusal, GP317."""
    return RefusedError(
        "GP317",
        f"the signature is not believed: {step}: {why}",
        hint="is it signed against the Sigstore instance of this trust config?",
    )
