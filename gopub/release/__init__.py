"""From a commit to a published release, stage by stage, and from a store back to a release that was checked."""

from gopub.build.artifact import FileRef, LocalFile
from gopub.release.admitting import Considered, consider, decide
from gopub.release.config import ReleaseConfig, open_signing, signing_key
from gopub.release.loading import Stored, load_release, read_stored
from gopub.release.model import EnvironmentFiles, Release, SignedRelease, TargetFiles
from gopub.release.pipeline import (
    archive,
    check_modules,
    checkout,
    compile_target,
    may_sign,
    sbom,
    sign,
    unit_tests,
)
from gopub.release.planning import plan
from gopub.release.publishing import already_published, publish
from gopub.release.stages import PreparedRelease, ReleasePlan, SignedTarget
from gopub.release.verifying import VerifyReport, gather_facts, verify_release, verify_stored

__all__ = [
    "Considered",
    "EnvironmentFiles",
    "FileRef",
    "LocalFile",
    "PreparedRelease",
    "Release",
    "ReleaseConfig",
    "ReleasePlan",
    "SignedRelease",
    "SignedTarget",
    "Stored",
    "TargetFiles",
    "VerifyReport",
    "already_published",
    "archive",
    "check_modules",
    "checkout",
    "compile_target",
    "consider",
    "decide",
    "gather_facts",
    "load_release",
    "may_sign",
    "open_signing",
    "plan",
    "publish",
    "read_stored",
    "sbom",
    "sign",
    "signing_key",
    "unit_tests",
    "verify_release",
    "verify_stored",
]
