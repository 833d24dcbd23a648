"""The private Sigstore of the lab: stock clients sign with it and check offline what was signed."""

from __future__ import annotations

import base64
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sigstore.models import ClientTrustConfig
from sigstore.verify import Verifier, policy

from gopub.errors import GopubError
from gopub.lab.sigstore import ctlog, ground, layout, oidc, services, stack
from gopub.process import base_environment, run
from tests.contracts.sigstore_client import PAYLOAD, checked_by_cosign, signed, verified
from tests.sigstore_stack import PROJECT, REF, SigstoreStack, aside, running_sigstore

ROOT = Path(__file__).parents[2]


async def test_what_one_client_signs_both_accept_offline_and_nothing_else(
    sigstore_stack: SigstoreStack, tmp_path: Path
) -> None:
    made = signed(sigstore_stack, tmp_path)
    verified(sigstore_stack, made)
    for bundle in (made.artifact, made.statement):
        assert await checked_by_cosign(sigstore_stack, bundle, made.file) == 0
        assert await checked_by_cosign(sigstore_stack, bundle, made.other) != 0
        assert await checked_by_cosign(sigstore_stack, bundle, made.file, ref="refs/tags/v2") != 0


def test_a_certificate_says_what_the_token_said(sigstore_stack: SigstoreStack, tmp_path: Path) -> None:
    made = signed(sigstore_stack, tmp_path)
    config = ClientTrustConfig.from_json(sigstore_stack.trust.read_text())
    verifier, project = Verifier(trusted_root=config.trusted_root), f"https://{oidc.GITLAB}/{PROJECT}"
    said: list[Any] = [
        policy.Identity(identity=sigstore_stack.identity(), issuer=sigstore_stack.issuer),
        policy.OIDCSourceRepositoryURI(project),
        policy.OIDCSourceRepositoryRef(REF),
        policy.OIDCBuildConfigURI(sigstore_stack.identity()),
        policy.OIDCRunInvocationURI(f"{project}/-/jobs/1"),
        policy.OIDCSourceRepositoryDigest(str(oidc.claims(PROJECT, REF)["sha"])),
    ]
    verifier.verify_artifact(PAYLOAD, made.read(made.artifact), policy.AllOf(said))


# Fulcio


def asked(running: SigstoreStack, token: str) -> httpx.Response:
    """Ask Fulcio for a certificate as a client does that looks at nothing itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    subject = str(oidc.claims(PROJECT, REF)["sub"]).encode()
    proof = base64.b64encode(key.sign(subject, ec.ECDSA(hashes.SHA256()))).decode()
    body = {
        "credentials": {"oidcIdentityToken": token},
        "publicKeyRequest": {
            "publicKey": {"algorithm": "ECDSA", "content": public.decode()},
            "proofOfPossession": proof,
        },
    }
    return httpx.post(f"{running.url('fulcio')}/api/v2/signingCert", json=body, timeout=60, trust_env=False)


def test_fulcio_gives_a_certificate_for_a_good_token_and_for_no_other(sigstore_stack: SigstoreStack) -> None:
    good = asked(sigstore_stack, sigstore_stack.token())
    assert good.status_code == 200 and "BEGIN CERTIFICATE" in good.text
    bad = {
        "expired": sigstore_stack.token(lasting=-60),
        "for somebody else": sigstore_stack.token(aud="vault"),
        "by an issuer that is not known": sigstore_stack.token(iss="http://127.0.0.1:1"),
        "not signed": ".".join([*sigstore_stack.token().split(".")[:2], ""]),
        "changed": altered(sigstore_stack.token()),
    }
    told = {why: asked(sigstore_stack, token) for why, token in bad.items()}
    given = [why for why, answer in told.items() if answer.status_code < 400 or "BEGIN CERTIFICATE" in answer.text]
    assert given == []


def altered(token: str) -> str:
    head, body, signature = token.split(".")
    text = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).replace(b"trade/orders", b"trade/others")
    return ".".join([head, base64.urlsafe_b64encode(text).rstrip(b"=").decode(), signature])


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"\xff", b'{"chain": 5}', b'{"chain": [5]}', b'{"chain": []}', b'{"chain": ["MAA="]}', b"[" * 100_000],
)
def test_the_log_refuses_what_is_no_chain_and_goes_on(sigstore_stack: SigstoreStack, body: bytes) -> None:
    url, pid = sigstore_stack.url("ctlog"), sigstore_stack.status()["ctlog"]
    answer = httpx.post(url + ctlog.ADD, content=body, timeout=60, trust_env=False)
    assert answer.status_code == 400 and answer.json()["error"]
    assert sigstore_stack.status()["ctlog"] == pid


def test_our_services_answer_what_they_know_and_hand_out_no_token(sigstore_stack: SigstoreStack) -> None:
    with httpx.Client(timeout=60, trust_env=False) as client:
        log, issuer = sigstore_stack.url("ctlog"), sigstore_stack.url("oidc")
        assert client.get(issuer + oidc.DISCOVERY).json()["issuer"] == sigstore_stack.issuer
        assert client.get(issuer + oidc.KEYS).json()["keys"][0].keys() == {"kty", "use", "alg", "kid", "n", "e"}
        for method, path in (("GET", "/"), ("POST", "/token"), ("POST", oidc.KEYS), ("GET", "/../keys/oidc.pem")):
            assert client.request(method, issuer + path, content=b"").status_code == 404
        assert client.get(log + ctlog.ADD).status_code == 404
        endless = client.post(log + ctlog.ADD, content=iter([b"x"]))
        assert endless.status_code == 413


# Two of them, and what dies


async def test_two_stacks_do_not_meet(sigstore_stack: SigstoreStack, tmp_path: Path) -> None:
    with running_sigstore(tmp_path / "other") as other:
        assert all(other.status().values())
        assert {sigstore_stack.url(name) for name in layout.SERVICES}.isdisjoint(map(other.url, layout.SERVICES))
        made = signed(other, tmp_path)
        verified(other, made)
        assert await checked_by_cosign(other, made.artifact, made.file) == 0
        assert await checked_by_cosign(sigstore_stack, made.artifact, made.file, issuer=other.issuer) != 0
        forged = other.token(iss=sigstore_stack.issuer)  # the other's key, in the name of this issuer
        assert asked(sigstore_stack, forged).status_code >= 400
        other.end("rekor")
        assert other.status()["rekor"] == 0
        pids = [pid for pid in other.status().values() if pid]
    assert [pid for pid in pids if alive(pid)] == []
    assert [name for name in layout.SERVICES if ground.listens(other.on_paper.port(name))] == []
    assert not other.on_paper.folder.exists()
    assert all(sigstore_stack.status().values())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("service", layout.SERVICES)
def test_a_service_that_was_killed_is_seen_and_comes_back_where_it_was(
    sigstore_stack: SigstoreStack, service: str, tmp_path: Path
) -> None:
    before = sigstore_stack.status()
    sigstore_stack.end(service)
    try:
        assert sigstore_stack.status() == {**before, service: 0}
    finally:
        sigstore_stack.mend()
    after = sigstore_stack.status()
    assert after[service] not in {0, before[service]}
    assert {name: pid for name, pid in after.items() if name != service} == {
        name: pid for name, pid in before.items() if name != service
    }
    verified(sigstore_stack, signed(sigstore_stack, tmp_path))


async def test_a_stack_whose_test_run_was_killed_is_swept_away_and_no_other(
    sigstore_stack: SigstoreStack, tmp_path: Path
) -> None:
    folder = tmp_path / "left"
    script = "import sys; from gopub.lab.sigstore import stack; import asyncio, pathlib, os, signal\n"
    script += "asyncio.run(stack.up(pathlib.Path(sys.argv[1]), owned=True)); os.kill(os.getpid(), signal.SIGKILL)"
    around = base_environment(keep=("GOPUB_CACHE",), extra={"PYTHONPATH": str(ROOT)})
    done = await run([sys.executable, "-c", script, str(folder)], env=around, timeout=300, check=False)
    assert done.code == -signal.SIGKILL, done.complaint
    try:
        assert all(stack.status(folder).values())
        await services.sweep()
        assert services.all_running(folder) == ()
        assert all(sigstore_stack.status().values())
    finally:
        await stack.down(folder)


def test_a_stack_whose_port_somebody_took_moves_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    first = ground.place(folder)
    stack.write_files(first)
    told: list[str] = []
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", first.port("rekor")))
        thief.listen()
        try:
            moved = aside(lambda: stack.up(folder, told.append))
            assert moved.first != first.first and ground.load(folder) == moved
            assert len(told) == 1 and moved.issuer in told[0]
            assert all(stack.status(folder).values())
        finally:
            aside(lambda: stack.down(folder))


def test_a_service_that_does_not_start_is_named_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bin" / "timestamp-server"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho no room for me\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    with (
        pytest.raises(
            GopubError, match=r"GP812 timestamp of the Sigstore stack, port \d+: it ended at once\nno room for me"
        ),
        running_sigstore(tmp_path / "stack"),
    ):
        pass
    assert not any(stack.status(tmp_path / "stack").values())


async def test_all_of_it_works_in_a_network_namespace_that_has_loopback_alone(tmp_path: Path) -> None:
    script = 'ip link set lo up && exec "$0" -m tests.contracts.sigstore_client "$1"'
    fence = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    around = base_environment(keep=("GOPUB_CACHE",), extra={"PYTHONPATH": str(ROOT)})
    done = await run([*fence, "sh", "-c", script, sys.executable, str(tmp_path)], env=around, timeout=300, check=False)
    assert done.code == 0, done.complaint
    assert done.text.splitlines() == ["links: lo", "signed and verified", "cosign: 0 0 0 0"]
