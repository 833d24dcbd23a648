"""The key of orders: named by the ssh connection, opened once, kept in the kit, and refused where it is another's."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gopub.errors import GopubError, UsageError
from gopub.evidence.keys import KeySigner
from gopub.evidence.roles import Role, Roles, sign_roles
from gopub.fleet.backends.ssh import Ssh, SshFleet
from gopub.fleet.orders import Order
from gopub.fleet.signed import DOMAIN, lines_v2, signed_lines
from gopub.journal.kit import Kit, read_kit, write_kit
from gopub.spec.connections import parse_connections
from gopub.spec.kinds import Connection
from gopub.spec.references import Reference
from gopub.usecases.refuse_order_key import refuse_order_key
from gopub.wiring.backends import BACKENDS
from gopub.wiring.order_keys import open_order_key
from gopub.wiring.outside import open_fleet
from tests.support.command import gopub
from tests.support.enrolled import fresh_signer
from tests.support.rollout_world import World, in_memory


@pytest.fixture
def signers() -> dict[Role, KeySigner]:
    return {role: fresh_signer() for role in Role}


@pytest.fixture
def ssh(tmp_path: Path, signers: dict[Role, KeySigner]) -> Ssh:
    """A connection whose key has a passphrase, beside a list of roles."""
    for role, signer in signers.items():
        lock = serialization.BestAvailableEncryption(b"open sesame")
        pem = signer.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
        (tmp_path / role).write_bytes(pem)
        (tmp_path / role).chmod(0o600)
    holders = tuple((role, signer.public) for role, signer in signers.items())
    signed = sign_roles(Roles(3, "2037-11-30T12:00:00Z", holders), signers[Role.ROOT])
    (tmp_path / "roles").write_text(signed.text)
    (tmp_path / "word").write_text("open sesame\n")
    text = "ssh: {kind: ssh, sign: {key: controller, passphrase: {file: word}, roles: roles}}\n"
    made = parse_connections(text, "connections.yaml", tmp_path, BACKENDS)["ssh"]
    assert isinstance(made, Ssh)
    return made


def with_key(ssh: Ssh, path: Path) -> Ssh:
    assert ssh.sign
    return ssh.model_copy(update={"sign": ssh.sign.model_copy(update={"key": path})})


def test_a_fleet_signs_where_its_connection_names_the_key(ssh: Ssh, signers: dict[Role, KeySigner]) -> None:
    fleet = open_fleet(ssh)
    assert isinstance(fleet, SshFleet)
    assert fleet.orders
    assert fleet.orders.fingerprint == signers[Role.CONTROLLER].public.fingerprint
    plain = open_fleet(Ssh())
    assert isinstance(plain, SshFleet)
    assert plain.orders is None


@pytest.mark.parametrize("role", [Role.RELEASE, Role.ADMISSION, Role.ROOT])
def test_a_key_of_another_role_signs_no_order(ssh: Ssh, tmp_path: Path, role: Role) -> None:
    with pytest.raises(GopubError, match=rf"GP483 key .* is no controller in list 3 of roles: it is {role}"):
        open_fleet(with_key(ssh, tmp_path / role))


def test_a_key_that_no_list_names_signs_no_order(ssh: Ssh, tmp_path: Path) -> None:
    key = fresh_signer().private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "stranger").write_bytes(key)
    (tmp_path / "stranger").chmod(0o600)
    with pytest.raises(GopubError, match=r"GP483 key .* is no controller in list 3 of roles\n"):
        open_fleet(with_key(ssh, tmp_path / "stranger"))


@pytest.mark.parametrize(
    ("breaks", "code"),
    [
        (lambda folder: (folder / "controller").unlink(), "GP300"),
        (lambda folder: (folder / "controller").chmod(0o644), "GP301"),
        (lambda folder: (folder / "word").write_text("open barley\n"), "GP300"),
        (lambda folder: (folder / "word").unlink(), "GP142"),
        (lambda folder: (folder / "roles").unlink(), "GP334"),
        (lambda folder: (folder / "roles").write_text("serial=3\n"), "GP332"),
    ],
    ids=["no key", "open to others", "wrong passphrase", "no passphrase", "no list", "half a list"],
)
def test_a_key_that_cannot_be_used_is_told_before_anybody_is_asked(
    ssh: Ssh, tmp_path: Path, breaks: Callable[[Path], object], code: str
) -> None:
    breaks(tmp_path)
    with pytest.raises(GopubError) as caught:
        open_fleet(ssh)
    assert caught.value.code == code


def test_a_kit_signs_as_its_rollout_did(ssh: Ssh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory(monkeypatch)
    world = World(tmp_path / "world")
    plan, hosts = world.driver().plan, world.ports().hosts
    path = write_kit(tmp_path, Kit(1, plan, hosts, world.environment, fleet=ssh))
    assert "open sesame" not in path.read_text()
    kept = read_kit(tmp_path, plan.app, plan.env, BACKENDS)
    assert kept.fleet == ssh
    fleet = open_fleet(kept.fleet)
    assert isinstance(fleet, SshFleet)
    assert fleet.orders


def test_a_way_back_needs_the_key_alone(ssh: Ssh, tmp_path: Path, signers: dict[Role, KeySigner]) -> None:
    (tmp_path / "roles").unlink()
    with pytest.raises(GopubError, match="GP334"):  # control: whoever begins something is told
        open_fleet(ssh)
    fleet = open_fleet(ssh, listed=False)
    assert isinstance(fleet, SshFleet) and fleet.orders
    assert fleet.orders.fingerprint == signers[Role.CONTROLLER].public.fingerprint


def test_a_passphrase_that_is_not_there_is_told_with_what_it_opens(ssh: Ssh, tmp_path: Path) -> None:
    (tmp_path / "word").unlink()
    with pytest.raises(UsageError, match=f"GP142 .*{tmp_path / 'controller'}, which signs orders: file .*word"):
        open_fleet(ssh, listed=False)


def test_a_connection_without_a_key_is_written_as_before() -> None:
    assert "sign" not in Ssh().model_dump(mode="json")


def test_what_is_signed_is_what_is_sent(ssh: Ssh, signers: dict[Role, KeySigner]) -> None:
    signing = ssh.signing()
    assert signing
    key = open_order_key(signing)
    order = Order("stage", "h1", "m", "orders", "orders", "prod", 3, "ab", 1, arguments={"url": "https://s/x?token=1"},
                  admission={"serial": "6"}, journal="7:ab")  # fmt: skip
    head = signed_lines(order, key, "cd" * 16)
    first, _, lines = head.partition(b"\n")
    assert lines == lines_v2(order, "cd" * 16)
    assert lines.startswith(b"gopub=2\nverb=stage\n")
    assert lines.endswith(b"journal=7:ab\nadmission.serial=6\n\n")
    assert b"arg.url=https://s/x?token=1\n" in lines
    word, fingerprint, signature = first.decode().split(" ")
    assert (word, fingerprint) == ("gopub-sig=1", key.fingerprint)
    public = signers[Role.CONTROLLER].public
    assert public.accepts(base64.b64decode(signature), digest=hashlib.sha256(DOMAIN + lines).digest())
    assert not public.accepts(base64.b64decode(signature), digest=hashlib.sha256(lines).digest()), "control"
    assert order.lines().startswith(b"gopub=1\n")
    assert b"admission" not in order.lines() and b"journal" not in order.lines(), "a host of before knows no such key"


def test_an_order_that_no_host_would_read_is_not_sent(ssh: Ssh) -> None:
    signing = ssh.signing()
    assert signing
    key = open_order_key(signing)
    with pytest.raises(GopubError, match=r"GP419 .* has .* bytes, a host takes 65536"):
        signed_lines(Order("stage", "h1", "m", "o", "o", "prod", reason="x" * 65536), key)
    with pytest.raises(GopubError, match=r"GP419 .* control character"):
        signed_lines(Order("stage", "h1", "m", "o", "o", "prod", journal="7:ab\nverb=stop"), key)


class Blocks:
    """A place outside the files that has one connection."""

    def __init__(self, held: Connection) -> None:
        self.held = held

    def words(self) -> str:
        return "the blocks"

    async def find(self, reference: Reference) -> Connection | None:
        return self.held if reference.name == "ssh" else None


@pytest.mark.parametrize("by_block", [False, True], ids=["in a file", "in a Block"])
async def test_a_key_that_does_not_open_is_refused_before_anything_is_built(
    ssh: Ssh, tmp_path: Path, by_block: bool
) -> None:
    health = 'health: "http://127.0.0.1:8080/healthz"'
    (tmp_path / "gopub.yaml").write_text(f"app: a\nenvironments: {{prod: {{inventory: i, hosts: x, {health}}}}}\n")
    line = "ssh: {kind: ssh, sign: {key: controller, passphrase: {file: word}, roles: roles}}\n"
    (tmp_path / "connections.yaml").write_text("journald: {kind: journald}\n" if by_block else line)
    elsewhere = Blocks(ssh) if by_block else None
    await refuse_order_key(str(tmp_path), "prod", elsewhere)
    (tmp_path / "controller").rename(tmp_path / "elsewhere")
    with pytest.raises(GopubError, match="GP300") as caught:
        await refuse_order_key(str(tmp_path), "prod", elsewhere)
    assert caught.value.hint.startswith("look at the path")
    if by_block:
        await refuse_order_key(str(tmp_path), "prod", None)
    with pytest.raises(UsageError, match="GP942"):
        await refuse_order_key(str(tmp_path), "night", elsewhere)


def _another_curve(folder: Path) -> None:
    pem = ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "controller").write_bytes(pem)


@pytest.mark.parametrize(
    ("breaks", "code", "warned"),
    [
        (lambda _: None, "", False),
        (lambda folder: (folder / "controller").unlink(), "GP300", True),
        (lambda folder: (folder / "word").unlink(), "GP142", True),
        (lambda folder: (folder / "controller").chmod(0o644), "GP301", False),
        (_another_curve, "GP300", False),
        (lambda folder: (folder / "roles").write_text("serial=3\n"), "GP332", False),
    ],
    ids=["well", "no key here", "no passphrase here", "open to others", "another curve", "half a list"],
)
def test_check_looks_at_the_keys_that_sign(
    ssh: Ssh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: Callable[[Path], object], code: str, warned: bool
) -> None:
    """Of orders and of tables; what only this machine has not is a warning, for rollouts may run elsewhere."""
    (tmp_path / "gopub.yaml").write_text(
        "app: a\nenvironments:\n  prod: {inventory: hosts.ini, hosts: role=app, traffic: lb,"
        ' health: "http://127.0.0.1:8080/healthz"}\n'
    )
    (tmp_path / "hosts.ini").write_text("[app]\nh1 role=app\ne1 role=edge\n")
    (tmp_path / "main.go").write_text("package main\n")
    signs = "sign: {key: controller, passphrase: {file: word}"
    edges = "lb: {kind: nginx, inventory: hosts.ini, hosts: role=edge"
    lines = {
        "orders": f"ssh: {{kind: ssh, {signs}, roles: roles}}}}\n{edges}}}\n",
        "tables": f"{edges}, sign: controller, passphrase: {{file: word}}}}\n",
    }
    breaks(tmp_path)
    monkeypatch.chdir(tmp_path)
    for what, text in lines.items():
        (tmp_path / "connections.yaml").write_text(text)
        ended = gopub("check")
        found = "" if code == "GP332" and what == "tables" else code
        assert (ended.code == 0) == (warned or not found), ended.err
        assert (f"warning: nothing can be signed on this machine: {found}" in ended.err) == warned, ended.err
        assert found in ended.err
        assert found or "GP" not in ended.err
