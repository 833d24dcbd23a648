"""The admission of a release into an env: its evidence from the store against the env's policy."""

from __future__ import annotations

from pathlib import Path

from gopub.errors import GopubError, UsageError
from gopub.evidence.admission import Admission, AdmissionPolicy, admit
from gopub.evidence.keys import PUBLIC_NAME, PublicKey
from gopub.release.config import local_keys
from gopub.release.verifying import gather_facts
from gopub.rollout.closing import read_env
from gopub.rollout.run import Run


async def admission_of(run: Run) -> Admission:
    """Gather what is known about the run's release and decide."""
    if run.signed is None:
        raise GopubError("GP724", f"rollout {run.rollout} has no release at hand", hint="is the store reachable?")
    key = accepted_key(run.accepted_key)
    quarantined = dict.fromkeys(read_env(run).quarantine, "it was rolled back here")
    facts = await gather_facts(run.ports.store, run.signed, [key], env=run.state.env, quarantined=quarantined)
    targets = tuple(sorted({f"linux/{fact.arch}" for fact in run.facts.values()}))
    return admit(facts, AdmissionPolicy(accepted_keys=(key.fingerprint,), targets=targets))


def accepted_key(path: str) -> PublicKey:
    """The public key that an env accepts: the one it names, else the local one.

    Raises:
        UsageError: GP729 it cannot be read.
    """
    file = Path(path) if path else local_keys() / PUBLIC_NAME
    try:
        return PublicKey.parse(file.read_bytes(), name=str(file))
    except OSError as error:
        raise UsageError("GP729", f"the public key {str(file)!r} cannot be read: {(error.strerror or '').lower()}",
                         hint="name it in admit.key, or release once here") from error  # fmt: skip
