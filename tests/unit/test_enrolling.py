"""What a host is told to enrol and what it answers, whose roots it may be under, and the keys that are made for it."""

from __future__ import annotations

import base64
import shlex
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.cli.enrolling import _tell
from gopub.clock import SystemClock
from gopub.errors import GopubError, PartialError, RefusedError
from gopub.evidence.roles import SignedRoles, load_roles
from gopub.fleet.enrolling import Answer, Enrolling, Stands, asking, login_line
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.loginkey import make_login, public_half
from gopub.usecases.enrol_host import Enrolment, Way, Wish, by_machine, doubles, enrol, enrolling, look, unenrol
from gopub.usecases.enrol_keys import Keys, Named, keys_for, keys_where_fit, refuse_other_roots
from gopub.usecases.make_keys import make_keys

BARE = Stands("app1", "m1", "none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def signed(folder: Path) -> SignedRoles:
    return make_keys(folder / "ours", 86400, SystemClock()).signed


@pytest.fixture(scope="module")
def others(folder: Path) -> SignedRoles:
    return make_keys(folder / "others", 86400, SystemClock()).signed


def held(signed: SignedRoles, **more: object) -> Stands:
    roots = tuple(key.fingerprint for role, key in signed.roles.holders if role == "root")
    return replace(BARE, stands="enrolled", roles=signed.text.encode(), roots=roots, **more)  # type: ignore[arg-type]


def code_of(stands: Stands, signed: SignedRoles) -> str:
    try:
        refuse_other_roots(stands, signed)
    except RefusedError as error:
        return error.code
    return ""


def test_a_host_is_never_taken_from_under_its_roots(signed: SignedRoles, others: SignedRoles, folder: Path) -> None:
    assert code_of(BARE, signed) == code_of(held(signed), signed) == ""
    assert code_of(held(others), signed) == "GP482"
    assert code_of(replace(held(others), stands="half"), signed) == "GP482"
    later = make_keys(folder / "ours", 86400, SystemClock()).signed
    assert code_of(held(signed), later) == "", "a later list of the same root"
    assert code_of(held(later), signed) == "GP333", "an earlier one"


def test_a_damaged_list_is_healed_by_its_own_root_alone(signed: SignedRoles, others: SignedRoles) -> None:
    damaged = replace(held(signed), roles=b"serial=1\nnonsense\n")
    assert (code_of(damaged, signed), code_of(damaged, others)) == ("", "GP482")
    assert code_of(replace(damaged, roots=()), signed) == "GP482", "nobody can tell whose it is"


def test_what_a_host_is_enrolled_as_already_stays(signed: SignedRoles) -> None:
    keys = Keys(signed, login_line("ssh-ed25519 AAAA me@here"))
    stands = held(signed, names=("old",), envs=("staging",), enrolled="2026-01-01T00:00:00Z")
    told = enrolling(stands, ["app1"], "prod", keys, 1.8e9)
    assert (told.names, told.envs, told.enrolled) == (("old", "app1"), ("staging", "prod"), "2026-01-01T00:00:00Z")
    assert enrolling(BARE, ["app1"], "prod", keys, 1.8e9).enrolled == "2027-01-15T08:00:00Z"
    seen = replace(stands, seen="5" * 64)
    assert b"\nseen=" + b"5" * 64 in enrolling(seen, ["app1"], "prod", keys, 1.8e9).request(), "by what it goes"
    lines, _, files = told.request().partition(b"\n\n")
    sizes = dict(line.split(b"=") for line in lines.splitlines())
    assert sum(int(sizes[name]) for name in (b"order", b"roles", b"login")) == len(files)


def test_one_machine_under_two_names_is_one_and_a_copied_one_is_refused() -> None:
    stood = {"web": BARE, "edge": replace(BARE, host="edge"), "copy": replace(BARE, machine_id="m2")}
    same = [Host("web", "10.0.0.1"), Host("edge", "10.0.0.1"), Host("copy", "10.0.0.2")]
    assert by_machine(stood, tuple(stood)) == {"m1": ["web", "edge"], "m2": ["copy"]}
    assert doubles(stood, same) == {}
    copied = doubles({**stood, "copy": replace(BARE, host="copy")}, same)
    assert {name: error.code for name, error in copied.items()} == dict.fromkeys(stood, "GP495")


def test_an_edge_that_is_healed_by_another_project_keeps_its_socket(signed: SignedRoles) -> None:
    keys, edge = Keys(signed, login_line("ssh-ed25519 AAAA")), replace(BARE, socket="/run/a.sock")
    assert enrolling(edge, ["e"], "prod", keys, 0.0).socket == "/run/a.sock"
    assert enrolling(edge, ["e"], "prod", keys, 0.0, socket="/run/b.sock").socket == "/run/b.sock"
    with pytest.raises(GopubError, match="GP481"):
        enrolling(BARE, ["e"], "prod", keys, 0.0, socket="/run/a b").request()


@pytest.mark.parametrize("name", ["a b", "a\nverb=look", "a'b", "", "ä", "x" * 300])
def test_a_name_that_is_no_word_is_not_sent(name: str) -> None:
    with pytest.raises(GopubError, match="GP481"):
        Enrolling("m", (name,), ("prod",), "1", "", 0, "p", b"r", "l").request()


def test_a_line_of_authorized_keys_allows_one_thing() -> None:
    line = login_line('ssh-ed25519 AAAA" evil="x')
    assert line == 'restrict,command="/usr/local/lib/gopub/shell" ssh-ed25519 AAAA" gopub\n'
    certified = login_line("ssh-ed25519 AAAA", certified=True)
    assert certified.startswith('cert-authority,principals="gopub",restrict,command=')
    assert shlex.split(certified.split(" ssh-")[0])[0].startswith("cert-authority")


def answered(**more: str) -> bytes:
    lines = {
        "machine_id": "m1", "now": "5", "stands": "enrolled", "host.names": "a b", "host.envs": "prod",
        "host.machine_id": "m1", "host.enrolled": "", "host.gopub": "1", "program": "ff", "root_keys": "",
        "roles": base64.b64encode(b"list").decode(), "roots": "*.pem", "login": "", "changed": "true", "ok": "true",
        "code": "", "message": "", **more,
    }  # fmt: skip
    return "".join(
        ["a banner\ngopub-enrol=1\n", *(f"{key}={value}\n" for key, value in lines.items()), "end=1\n"]
    ).encode()


def test_an_answer_is_read() -> None:
    answer = Answer.parse(answered(), host="app1")
    assert answer.stands
    assert (answer.changed, answer.stands.names, answer.stands.roles, answer.stands.roots) == (
        True,
        ("a", "b"),
        b"list",
        (),
    )
    refused = Answer.parse(answered(ok="false", code="GP494", message="full", left=" /etc/x"), host="app1")
    assert refused.stands is None
    assert str(refused.error("app1")).startswith("GP494 app1: full; these could not be removed again: /etc/x")


@pytest.mark.parametrize("out", [
    b"", b"sh: not found\n", answered()[:-6], answered(now="soon"), answered(roles="?"), answered(root_keys="-"),
    answered().replace(b"roots=", b"root="), b"\xff\xfe" * 900,
])  # fmt: skip
def test_a_damaged_answer_is_an_error(out: bytes) -> None:
    with pytest.raises(GopubError, match="GP416"):
        Answer.parse(out, host="app1")


def test_the_login_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = make_login(tmp_path / "ssh")
    before = file.read_bytes()
    assert (make_login(tmp_path / "ssh"), file.read_bytes()) == (file, before)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (file, file.parent)] == [0o600, 0o700]
    public = public_half(file)
    assert public.startswith("ssh-ed25519 ")
    (file.with_name("gopub.pub")).unlink()
    assert public_half(file) == public
    with pytest.raises(GopubError, match="GP481"):
        public_half(tmp_path / "nothing")


def test_keys_are_made_only_where_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert keys_for(Named(), SystemClock(), make=False) is None
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"
    made = keys_for(Named(), SystemClock(), make=True)
    again = keys_for(Named(), SystemClock(), make=True)
    assert made
    assert again
    assert (len(made.made), again.made, again.roles) == (2, (), made.roles)
    assert load_roles(Named().roles_file) == made.roles


def test_no_keys_are_made_for_hosts_that_are_all_refused(
    signed: SignedRoles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def asked(**stood: Stands) -> tuple[Keys | None, dict[str, str]]:
        keys, refused = keys_where_fit(stood, Named(), SystemClock(), only_login=False, older_program=False, make=True)
        return keys, {name: error.code for name, error in refused.items()}

    newer = replace(BARE, program_gopub="99.0.0")
    damaged = replace(BARE, roots=("a" * 64,))
    assert asked(a=held(signed), b=newer, c=damaged) == (None, {"a": "GP482", "b": "GP452", "c": "GP482"})
    assert asked() == (None, {}), "none was reached"
    assert list(tmp_path.iterdir()) == []
    keys, refused = asked(a=held(signed), d=BARE)
    assert keys and len(keys.made) == 2, "control: one is left for whom they are made"
    assert refused == {"a": "GP482"}
    assert asked(d=BARE) == (replace(keys, made=()), {})


def test_a_login_that_cannot_be_read_is_told_before_a_list_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for named in (Named(login=tmp_path / "none"), Named(ca=tmp_path / "none")):
        with pytest.raises(GopubError, match="GP481"):
            keys_for(named, SystemClock(), make=True)
    assert list(tmp_path.iterdir()) == []


def test_a_list_that_its_roots_have_not_signed_is_not_brought(
    folder: Path, others: SignedRoles, tmp_path: Path
) -> None:
    file = tmp_path / "roles"
    file.write_text(replace(others, signatures=load_roles(folder / "ours/roles").signatures).text)
    with pytest.raises(RefusedError, match="GP311"):
        keys_for(Named(file), SystemClock(), make=True)
    with pytest.raises(GopubError, match="GP334"):
        keys_for(Named(tmp_path / "none"), SystemClock(), make=True)


def test_root_is_reached_as_before_where_orders_come_as_user_gopub() -> None:
    host = Host(
        "a", "a", user="gopub", ssh=SshOptions(user="gopub", key=Path("k")), variables={"ansible_user": "deploy"}
    )
    assert (Way().of(host).user, Way().of(host).ssh.key) == ("deploy", None)
    assert Way().of(replace(host, variables={})).user == "root"
    way = Way("admin", Path("mine"), sudo=True).of(host)
    assert (way.user, way.ssh.user, way.ssh.key, way.ssh.sudo) == ("admin", "admin", Path("mine"), True)
    deploy = Host("a", "a", user="deploy", ssh=SshOptions(key=Path("k"), sudo=True))
    assert (Way().of(deploy).user, Way().of(deploy).ssh.key, Way().of(deploy).ssh.sudo) == ("deploy", Path("k"), True)


def test_some_refused_are_owed_and_all_refused_are_a_refusal() -> None:
    other, full = RefusedError("GP482", "other roots"), GopubError("GP494", "full")
    stood = {"a": BARE, "b": BARE}
    done = {"a": Answer(BARE)}
    assert Enrolment(stood, ("a",), done=done).failed is None
    assert isinstance(Enrolment(stood, ("a",), done=done, refused={"b": other}).failed, PartialError)
    assert Enrolment({"b": BARE}, refused={"b": other}).failed is other
    both = Enrolment(stood, refused={"a": full, "b": other}).failed
    assert both
    assert (type(both), "a: GP494" in both.problem, "b: GP482" in both.problem) == (GopubError, True, True)


def test_a_request_to_look_names_no_file() -> None:
    assert asking("unenroll", "m1") == b"verb=unenroll\nmachine_id=m1\n\n"


async def test_root_comes_to_hosts_while_the_key_of_orders_is_not_made_yet_or_lost(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("app1 ansible_host=127.0.0.1\n")
    one = "{inventory: hosts.ini, hosts: all, health: 'http://127.0.0.1:1/'}"
    (tmp_path / "gopub.yaml").write_text(f"app: shop\nbuild: ./cmd/shop\nenvironments:\n  prod: {one}\n")
    sign = "{key: keys/controller/gopub.key, passphrase: {file: word}, roles: keys/roles}"
    (tmp_path / "connections.yaml").write_text(f"ssh: {{kind: ssh, known_hosts: none, sign: {sign}}}\n")
    found = await look(str(tmp_path), Wish("prod", ("app1", "app1")))
    assert {name: error.code for name, error in found.refused.items()} == {"app1": "GP418"}, "it was tried"
    found = await unenrol(str(tmp_path), Wish("prod", do=True))
    assert {name: error.code for name, error in found.refused.items()} == {"app1": "GP418"}


async def test_where_no_host_is_reached_no_keys_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "hosts.ini").write_text("app1 ansible_host=127.0.0.1\n")
    one = "{inventory: hosts.ini, hosts: all, health: 'http://127.0.0.1:1/'}"
    (tmp_path / "gopub.yaml").write_text(f"app: shop\nbuild: ./cmd/shop\nenvironments:\n  prod: {one}\n")
    (tmp_path / "connections.yaml").write_text("ssh: {kind: ssh, known_hosts: none}\n")
    found = await enrol(str(tmp_path), Wish("prod", do=True))
    assert {name: error.code for name, error in found.refused.items()} == {"app1": "GP418"}, "it was tried"
    assert (found.keys, (tmp_path / "state").exists()) == (None, False)


@pytest.mark.parametrize("names", [("app1",), ("app1", "edge1")])
def test_unenroll_says_under_which_other_names_the_machine_is_enrolled(
    capsys: pytest.CaptureFixture[str], names: tuple[str, ...]
) -> None:
    found = Enrolment({"app1": replace(BARE, stands="enrolled", names=names)}, meant=("app1",))
    _tell(found, False, "would be unenrolled", "unenrolled", ends=True)
    assert ("the same machine is edge1" in capsys.readouterr().out) is (len(names) > 1)
    _tell(found, False, "would be enrolled", "enrolled")
    assert "the same machine" not in capsys.readouterr().out
