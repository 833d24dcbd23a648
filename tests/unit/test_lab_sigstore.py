"""The private Sigstore of a lab on paper: ports, tokens, the CT log's promise, what clients are told."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from sigstore.models import ClientTrustConfig
from typer.testing import CliRunner

from gopub.cli.lab import app
from gopub.errors import GopubError, UsageError
from gopub.lab import state
from gopub.lab.layout import Layout, place
from gopub.lab.sigstore import ctlog, ground, keys, layout, oidc, services, stack

NOW = 1_800_000_000
KEY = rsa.generate_private_key(65537, 2048)


def on_paper(folder: Path) -> layout.Stack:
    made = layout.Stack(folder, 20000)
    stack.write_files(made)
    return made


# Where it listens


def test_a_stack_gets_the_same_ports_while_they_are_free_and_others_once_one_is_taken(tmp_path: Path) -> None:
    first = ground.place(tmp_path, taken=lambda _: False)
    ports = {first.port(name) for name in (*layout.SERVICES, "fulcio-grpc", "rekor-grpc")}
    assert ground.place(tmp_path, taken=lambda _: False) == first
    assert len(ports) == 7
    for taken in ports:
        other = ground.place(tmp_path, taken=lambda port, taken=taken: port == taken)
        assert not ports & {other.port(name) for name in (*layout.SERVICES, "fulcio-grpc", "rekor-grpc")}


def test_ports_lie_below_those_that_the_kernel_gives_away_by_default(tmp_path: Path) -> None:
    last = layout.Stack(tmp_path, 20000)
    for _ in range(1500):
        last = ground.place(tmp_path, after=last, taken=lambda _: False)
        assert 20000 <= last.first <= last.port("rekor-grpc") < 30500
    assert last.first == 20000  # all blocks were had once, and it begins again


def test_no_free_ports_are_an_error_that_says_where_they_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(GopubError, match="GP812 no 7 ports in a row are free from 20000 to 30499"):
        ground.place(tmp_path, taken=lambda _: True)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"first_port": "x"}', "\0"])
def test_a_damaged_note_of_ports_is_no_stack(tmp_path: Path, text: str) -> None:
    (tmp_path / "stack.json").write_text(text)
    assert ground.load(tmp_path) is None


# Tokens


def test_a_token_says_what_gitlab_says_and_is_checked_by_the_keys_that_are_served() -> None:
    said = oidc.claims("trade/fx/orders", "refs/tags/v1.2")
    raw = oidc.token(KEY, "http://127.0.0.1:1", said, now=NOW)
    served = jwt.PyJWKSet.from_dict(oidc.keys(KEY.public_key()))
    head = jwt.get_unverified_header(raw)
    read = jwt.decode(raw, served[head["kid"]].key, ["RS256"], audience="sigstore", options={"verify_exp": False,
                      "verify_iat": False, "verify_nbf": False})  # fmt: skip
    assert read["iss"] == "http://127.0.0.1:1"
    assert read["sub"] == "project_path:trade/fx/orders:ref_type:tag:ref:v1.2"
    assert (read["namespace_path"], read["project_path"]) == ("trade/fx", "trade/fx/orders")
    assert (read["ref"], read["ref_type"], read["ref_path"]) == ("v1.2", "tag", "refs/tags/v1.2")
    assert read["ci_config_ref_uri"] == "gitlab.test/trade/fx/orders//.gitlab-ci.yml@refs/tags/v1.2"
    assert (read["iat"], read["exp"]) == (NOW, NOW + 300)
    assert len(read["sha"]) == 40
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(raw[:-8] + "AAAAAAAA", served[head["kid"]].key, ["RS256"], audience="sigstore")


def test_a_branch_with_slashes_is_a_branch() -> None:
    said = oidc.claims("a/b", "refs/heads/fix/x")
    assert (said["ref"], said["ref_type"]) == ("fix/x", "branch")


def test_no_claim_is_null_because_fulcio_would_write_nil_into_the_certificate() -> None:
    assert None not in oidc.claims("a/b", "refs/heads/main").values()


@pytest.mark.parametrize(
    ("project", "ref"),
    [
        ("orders", "refs/tags/v1"),
        ("/orders", "refs/tags/v1"),
        ("a/", "refs/tags/v1"),
        ("a b/c", "refs/tags/v1"),
        ("a/b", "v1"),
        ("a/b", "refs/tags/"),
        ("a/b", "refs/heads/"),
        ("a/b", "refs/tags/v 1"),
        ("a/b", "refs/merge-requests/1/head"),
    ],
)
def test_a_job_that_cannot_be_is_refused(project: str, ref: str) -> None:
    with pytest.raises(UsageError, match="GP814"):
        oidc.claims(project, ref)


def test_the_command_prints_a_token_that_the_stacks_keys_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPUB_LAB_DIR", str(tmp_path))
    layout = Layout("lab", tmp_path / "lab", "198.18.7", place(1, 0, "198.18.7"), sigstore=True)
    state.save(layout)
    made = on_paper(layout.stack)
    asked = ["token", "--project", "a/b", "--ref", "refs/tags/v1", "--claim", "environment=prod", "--for", "10m"]
    done = CliRunner().invoke(app, asked)
    key = keys.read(made, "oidc", keys.Rsa).public_key()
    read = jwt.decode(done.stdout.strip(), key, ["RS256"], audience="sigstore", issuer=made.issuer)
    assert (read["environment"], read["exp"] - read["iat"]) == ("prod", 600)
    assert isinstance(CliRunner().invoke(app, [*asked, "--claim", "x"]).exception, UsageError)
    state.save(Layout("lab", tmp_path / "lab", "198.18.7", place(1, 0, "198.18.7")))
    without = CliRunner().invoke(app, asked).exception
    assert isinstance(without, UsageError) and without.code == "GP815"


# The CT log


def certificate(*, by: ec.EllipticCurvePrivateKey, poison: bool) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "n")])
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(7)
        .public_key(LEAF.public_key()).not_valid_before(DAY).not_valid_after(DAY + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([LONG]), critical=True)
    )  # fmt: skip
    if poison:
        builder = builder.add_extension(x509.PrecertPoison(), critical=True)
    return builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).sign(
        by, hashes.SHA256()
    )


LONG = x509.UniformResourceIdentifier("https://x/" + "y" * 300)
DAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LEAF, LOG, AUTHORITY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))


def der(made: x509.Certificate) -> bytes:
    return made.public_bytes(serialization.Encoding.DER)


def authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "n")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    dated = builder.not_valid_before(DAY).not_valid_after(DAY + dt.timedelta(days=9))
    return dated.public_key(key.public_key()).sign(key, hashes.SHA256())


def test_what_is_signed_of_a_certificate_is_what_it_is_without_the_poison() -> None:
    with_it, without = (certificate(by=AUTHORITY, poison=poison) for poison in (True, False))
    assert ctlog.unpoisoned(with_it.tbs_certificate_bytes) == without.tbs_certificate_bytes
    with pytest.raises(ValueError, match="not meant to be logged"):
        ctlog.unpoisoned(without.tbs_certificate_bytes)


def test_the_log_promises_nothing_for_strangers_and_forgeries() -> None:
    ours, strange = authority(AUTHORITY), authority(LEAF)

    def asked(*chain: bytes) -> Any:
        return ctlog.promise(chain, key=LOG, accepted=[ours], now_ms=NOW * 1000)

    assert asked(der(certificate(by=AUTHORITY, poison=True)), der(ours))["timestamp"] == NOW * 1000
    for chain, why in (
        ((der(certificate(by=LEAF, poison=True)), der(strange)), "not logged here"),
        ((der(certificate(by=LEAF, poison=True)), der(ours)), "not by its issuer"),
        ((der(certificate(by=AUTHORITY, poison=False)), der(ours)), "not meant to be logged"),
        ((der(certificate(by=AUTHORITY, poison=True)),), "who issues it are needed"),
        ((), "who issues it are needed"),
    ):
        with pytest.raises(ValueError, match=why):
            asked(*chain)
    with pytest.raises(ValueError):  # noqa: PT011 - cryptography's own words
        asked(b"\x30\x03abc", der(ours))


@pytest.mark.parametrize(
    "data", [b"", b"\x30", b"\x30\x05\x00", b"\x31\x00", b"\x30\x84\xff\xff\xff\xff", b"\x30\x00\x30\x00"]
)
def test_broken_der_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words differ, that it is refused counts
        ctlog.unpoisoned(data)


# What clients are told, and the files


def test_stock_clients_read_the_trust_config_and_others_read_no_key(tmp_path: Path) -> None:
    made = on_paper(tmp_path / "stack")
    config = ClientTrustConfig.from_json(made.trust.read_text())
    assert len(config.trusted_root.get_fulcio_certs()) == 2
    assert json.loads(made.trust.read_text())["trustedRoot"] == json.loads(made.trusted_root.read_text())
    assert [
        p.name for p in (made.folder / "keys").glob("*.pem") if p.stat().st_mode & 0o077 and "chain" not in p.name
    ] == []
    assert made.folder.stat().st_mode & 0o077 == 0


def test_gopub_reads_the_trust_config_and_the_root_alone(tmp_path: Path) -> None:
    from gopub.evidence.trust import read_trust

    made = on_paper(tmp_path / "stack")
    for file in (made.trust, made.trusted_root):
        assert read_trust(file.read_bytes(), file=str(file), name="sigstore-lab")


def test_a_stack_keeps_its_keys_and_says_which_file_is_damaged(tmp_path: Path) -> None:
    made = on_paper(tmp_path / "stack")
    before = made.trusted_root.read_text()
    stack.write_files(made)
    assert made.trusted_root.read_text() == before
    made.key("rekor").write_text("no key")
    with pytest.raises(GopubError, match=r"GP812 .*keys/rekor.pem is not what"):
        stack.write_files(made)


def test_missing_programs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("GOPUB_CACHE", str(tmp_path))
    with pytest.raises(GopubError, match=r"GP813 .*: fulcio, rekor-posix, timestamp-server not found") as refused:
        services.require()
    assert "make tools" in str(refused.value.hint)


def test_every_socket_is_of_loopback_or_has_a_name_of_its_own(tmp_path: Path) -> None:
    one, other = layout.Stack(tmp_path, 20000), layout.Stack(tmp_path, 20007)
    fulcio, second = services.argv(one, "fulcio"), services.argv(other, "fulcio")
    socket = fulcio[fulcio.index("--legacy-unix-domain-socket") + 1]
    assert socket.startswith("@gopub-fulcio-") and socket not in second
    for argv in (fulcio, services.argv(one, "rekor"), services.argv(one, "timestamp")):
        hosts = [argv[at + 1] for at, word in enumerate(argv) if word in {"--host", "--grpc-host", "--http-address"}]
        assert hosts and set(hosts) == {"127.0.0.1"}
