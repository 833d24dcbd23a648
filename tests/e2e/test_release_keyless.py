"""A release signed without a key, by a Sigstore that really runs: from a commit that looks for the token, to cosign."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.build.sandbox import NONE
from gopub.clock import SystemClock
from gopub.errors import GopubError, RefusedError
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.reading import Certificate, read_bundle
from gopub.evidence.trust import SigstoreConnection
from gopub.lab.sigstore.oidc import GITLAB
from gopub.process import base_environment, run
from gopub.release import check_modules, checkout, may_sign, plan, publish, sign, unit_tests, verify_release
from gopub.release.config import Keyless
from gopub.spec.connections import parse_connections
from gopub.store.backends.directory import DirectoryStore
from gopub.wiring.backends import BACKENDS
from tests.contracts.sigstore_client import NOWHERE
from tests.contracts.sigstore_faults import broken, led_to
from tests.e2e.release_kit import SMALL, a_repository, config, files_of, git, packed_release
from tests.minio_server import program
from tests.sigstore_stack import PROJECT, SigstoreStack

pytestmark = [pytest.mark.go]

THIEF = """package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestToken(t *testing.T) {
	found, _ := filepath.Glob("/proc/[0-9]*/*")
	looked := 0
	for _, path := range found {
		if name := filepath.Base(path); name != "environ" && name != "cmdline" {
			continue
		}
		text, err := os.ReadFile(path)
		if err == nil && len(text) > 0 {
			looked++
		}
		if bytes.Contains(text, []byte("SIGSTORE_ID_TOKEN")) || bytes.Contains(text, []byte("eyJ")) {
			t.Errorf("STOLEN from %s", path)
		}
	}
	if os.Getenv("SIGSTORE_ID_TOKEN") != "" || looked == 0 {
		t.Error("STOLEN from the environment, or nothing was looked at")
	}
}
"""
FILES = SMALL | {
    "thief_test.go": THIEF,
    "gopub.yaml": SMALL["gopub.yaml"] + "evidence: {sbom: [spdx, cyclonedx], sign: {keyless: lab}}\n",
}


@pytest.fixture(autouse=True)
async def writable(tmp_path: Path) -> AsyncIterator[None]:
    """Go writes its module cache read-only; pytest wants to remove it."""
    yield
    await run(["chmod", "-R", "u+w", str(tmp_path)])


@pytest.fixture
async def repository(tmp_path: Path) -> Path:
    """As a job finds it: its commit is in a branch of the remote."""
    made = await a_repository(tmp_path / "repository", FILES)
    await git(made, "remote", "add", "origin", f"https://job:secret@{GITLAB}/{PROJECT}.git")
    await git(made, "update-ref", "refs/remotes/origin/main", "HEAD")
    return made


@pytest.fixture
async def token(sigstore_stack: SigstoreStack, repository: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """In the environment of a job: that of this process, and that of one that lives, whose /proc shows it."""
    made = sigstore_stack.token(sha=await git(repository, "rev-parse", "HEAD"))
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", made)
    alive = await asyncio.create_subprocess_exec("sleep", "600", env={"SIGSTORE_ID_TOKEN": made})
    yield made
    alive.kill()
    await alive.wait()


def keyless(trust: Path) -> Keyless:
    """The connection of that trust config."""
    made = parse_connections(f"lab: {{kind: sigstore, trust: {trust}}}\n", "c.yaml", trust.parent, BACKENDS)["lab"]
    assert isinstance(made, SigstoreConnection)
    return Keyless("lab", made)


async def believed(stack: SigstoreStack, bundle: Path, file: Path, *kind: str) -> bool:
    """Whether stock cosign believes it, with no way to the outside."""
    words = ["verify-blob-attestation", "--type", *kind] if kind else ["verify-blob"]
    words += ["--bundle", str(bundle), "--trusted-root", str(stack.trusted_root), "--certificate-identity"]
    words += [stack.identity(), "--certificate-oidc-issuer", stack.issuer, str(file)]
    extra = {"HOME": str(bundle.parent), "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "NO_PROXY": ""}
    return not (await run([str(program("cosign")), *words], env=base_environment(extra=extra), check=False)).code


async def test_all_of_a_release_is_signed_with_one_certificate_and_believed_by_cosign(
    sigstore_stack: SigstoreStack, repository: Path, token: str, tmp_path: Path
) -> None:
    key, store = keyless(sigstore_stack.trust), DirectoryStore(tmp_path / "store")
    order = config(repository, tmp_path / "work", "v1.0.0")

    planned = await plan(order, await checkout(order), started=SystemClock().now())
    await may_sign(planned, key)
    modules, packed = await packed_release(planned)

    # A log that is no log: nothing is lost, and what was built is signed once there is one.
    with broken("404") as log:
        (tmp_path / "trust.json").write_bytes(led_to(sigstore_stack, "rekor", log.url))
        with pytest.raises(GopubError, match=f"^GP360 the Sigstore service rekor at {log.url}: it answers 404"):
            await sign(planned, modules, packed, keyless(tmp_path / "trust.json"), now=SystemClock().now)

    # What was built from a folder alone is not what the certificate is of.
    elsewhere = replace(planned, tree=replace(planned.tree, repository=repository.as_uri()))
    with pytest.raises(RefusedError, match=r"^GP366 .*the certificate is of 'https://gitlab\.test/trade/orders'"):
        await sign(elsewhere, modules, packed, key, now=SystemClock().now)

    signed = await publish(store, await sign(planned, modules, packed, key, now=SystemClock().now))
    report = await verify_release(store, signed, KeylessVerifier(key.connection.open("lab")))
    assert [one for one in report.checks if not one.passed] == []
    assert report.signer == f"{sigstore_stack.identity()} of {sigstore_stack.issuer} in lab"
    certificates = {read_bundle(signed.bundle).signer}
    for target in signed.release.targets:
        folder = tmp_path / target.replace("/", "-")
        files = await files_of(store, signed, target, folder)
        certificates |= {read_bundle(files[what].read_bytes()).signer for what in files if what.startswith("bundle ")}
        for what in ("archive", "binary"):
            assert await believed(sigstore_stack, files[f"bundle {what}"], files[what])
            assert await believed(sigstore_stack, files["bundle provenance"], files[what], "slsaprovenance1")
            assert await believed(sigstore_stack, files["bundle sbom-spdx"], files[what], "spdxjson")
            assert await believed(sigstore_stack, files["bundle sbom-cyclonedx"], files[what], "cyclonedx")
        assert not await believed(sigstore_stack, files["bundle archive"], files["binary"]), "control"
    (tmp_path / "release.json").write_bytes(signed.manifest)
    (tmp_path / "release.bundle").write_bytes(signed.bundle)
    assert await believed(sigstore_stack, tmp_path / "release.bundle", tmp_path / "release.json")
    assert len(certificates) == 1 and isinstance(certificates.pop(), Certificate)
    kept = [
        path.read_bytes() for folder in ("store", "work") for path in (tmp_path / folder).rglob("*") if path.is_file()
    ]
    assert kept and [one for one in kept if token.encode() in one] == []


async def test_without_a_sandbox_the_tests_of_that_commit_would_find_a_token(
    repository: Path, token: str, tmp_path: Path
) -> None:
    """The control: the release above was built and tested beside the same process."""
    assert token
    order = config(repository, tmp_path / "work", "v1.0.0")
    planned = await plan(order, await checkout(order), started=0.0)
    with pytest.raises(GopubError, match="STOLEN from /proc/"):
        await unit_tests(replace(planned, sandbox=NONE), await check_modules(planned))
