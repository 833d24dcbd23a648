"""A further signature under a published release, which is held against its own evidence before."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from gopub.build import find_sandbox
from gopub.build.sandbox import NONE
from gopub.errors import RefusedError, UsageError
from gopub.evidence.signing import ToSign
from gopub.evidence.together import Signatory
from gopub.release.config import Keyless, SigningKey, open_signing
from gopub.release.countersigning import countersign
from gopub.release.loading import read_stored
from gopub.release.model import SignedRelease
from gopub.release.verifying import VerifyReport, verify_release
from gopub.rollout.policy import believed_by
from gopub.wiring.project import Project


@dataclass(frozen=True, slots=True)
class Countersigning:
    """What was signed, as it was found, and by whom it is signed now as well."""

    report: VerifyReport
    by: Signatory


async def add_signature(project: Project, env: str, name: str, by: bytes | SigningKey) -> Countersigning:
    """Verify the release, then let somebody whom the environment names sign its release.json too.

    Args:
        project: whose store and policy it is.
        env: the environment that asks for several signatures.
        name: a version, or a release id.
        by: a bundle over release.json that was made elsewhere, or what signs here.

    Raises:
        UsageError: GP327 nothing in ``admit.signed`` asks for several.
        RefusedError: GP310 to GP312, GP316, GP317 the release or the bundle is nobody's who counts; GP350 the release
            is not what it says, or whoever signed it signs again.
    """
    admit = project.environment(env).admit
    believed = believed_by(project, admit)
    if not any(one.all for one in admit.signed or ()):
        raise UsageError("GP327", f"nothing in admit.signed of {env} asks for several signatures",
                         hint="write {all: [...]} there: until then a further one says nothing")  # fmt: skip
    store = project.store()
    signed = (await read_stored(store, project.spec.app, name)).signed_by(believed.verifier)
    report = await verify_release(store, signed, believed.verifier)
    if not report.accepted:
        failed = ", ".join(check.name for check in report.checks if not check.passed)
        problem = f"{report.app} {report.version} is not what it says: {failed}"
        raise RefusedError("GP350", problem, hint="look with gopub verify; nothing was signed")
    made = by if isinstance(by, bytes) else await _signed_by(by, signed)
    kept = await countersign(store, signed, made, believed.verifier, beside=report.signer)
    return Countersigning(report, kept)


async def _signed_by(key: SigningKey, signed: SignedRelease) -> bytes:
    """Where a token signs it is in a sandbox if there is any: nothing of the release is run here."""
    sandbox = await find_sandbox(waived=True) if isinstance(key, Keyless) else NONE
    with tempfile.TemporaryDirectory(prefix="gopub-countersign-") as scratch:
        async with open_signing(key, sandbox, Path(scratch)) as signing:
            (bundle,) = await signing.bundles([ToSign(signed.manifest)])
            return bundle
