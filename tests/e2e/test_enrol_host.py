"""Enrolment as the host does it: whole or not at all wherever it is cut, refused where something is in its way."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import shutil
from pathlib import Path

import pytest

from gopub.clock import SystemClock
from gopub.evidence.roles import Role, load_roles
from gopub.fleet import program
from gopub.fleet.enrolling import Answer, Stands, login_line
from gopub.fleet.loginkey import make_login, public_half
from gopub.fleet.logins import fingerprints, logins_with
from gopub.fleet.shells import command_line
from gopub.lab.base import base_root
from gopub.usecases.make_keys import make_keys
from tests.e2e.enrol_kit import LOGIN, ORDER, Machine, parsed

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def base() -> Path:
    return asyncio.run(base_root(print))


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_keys(tmp_path_factory.mktemp("roles") / "keys", 86400, SystemClock()).file.read_bytes()


@pytest.fixture
def machine(base: Path, roles: bytes, tmp_path: Path) -> Machine:
    return Machine(base, tmp_path / "machine", roles)


@pytest.mark.parametrize("shell", ["dash", "busybox"])
def test_a_host_is_enrolled_healed_and_unenrolled(machine: Machine, tmp_path: Path, shell: str) -> None:
    if shell == "busybox":
        machine.shell = "/usr/local/bin/ash"
        machine.write("usr/local/bin/ash", "", 0o755)
        shutil.copyfile("/usr/bin/busybox", machine.upper / "usr/local/bin/ash")
    machine.write("etc/gopub/connections.yaml", "{}\n")
    machine.write("var/lib/gopub/edge/table", "an edge's\n")
    manifest = f"release={'a' * 64}\nrender={'b' * 64}\napp=shop\nbinary={'c' * 64}\n"
    machine.write(f"opt/shop/releases/{'a' * 12}-{'b' * 12}/.gopub-manifest", manifest)
    machine.write(f"opt/shop/releases/{'a' * 12}-{'d' * 12}/.gopub-manifest", manifest)  # says another name
    before = machine.tree()
    assert machine.ask("look")["stands"] == "none"
    done = machine.ask("enroll")
    assert (done["ok"], done["changed"], done["stands"]) == ("true", "true", "enrolled"), done
    assert machine.serves() == "served"
    assert (machine.upper / "var/lib/gopub/ran/shop").read_text() == f"{'a' * 12}-{'b' * 12} {'c' * 64}\n"
    (tmp_path / "roles").write_bytes(machine.roles)
    listed = load_roles(tmp_path / "roles").roles
    for role in Role:
        laid = {path.name for path in (machine.upper / "etc/gopub/keys" / role).iterdir()}
        assert laid == {f"{key.fingerprint}.pem" for key in listed.of(role)}

    whole = machine.tree()
    again = machine.ask("enroll")
    assert (again["ok"], again["changed"], machine.tree()) == ("true", "false", whole), "the same again changes nothing"
    (machine.upper / "usr/local/lib/gopub/order").write_text("#!/bin/sh\necho altered\n")
    assert machine.ask("enroll")["changed"] == "true", "an altered program is laid anew"
    assert machine.tree() == whole

    gone = machine.ask("unenroll")
    assert (gone["ok"], gone["stands"], machine.tree()) == ("true", "none", before)
    assert machine.ask("unenroll")["changed"] == "false"


def test_a_change_of_the_list_that_was_cut_keeps_what_the_host_is_and_what_root_was_laying(machine: Machine) -> None:
    machine.ask("enroll", names="app1 old", envs="prod staging")
    machine.run(
        "mv /etc/gopub/host /etc/gopub/host.old; sed s/serial=1/serial=7/ /etc/gopub/roles >/etc/gopub/roles.next"
    )
    assert machine.serves() == "GP477"
    stands = machine.ask("look")
    assert (stands["stands"], stands["host.names"], stands["host.envs"]) == ("half", "app1 old", "prod staging")
    assert base64.b64decode(stands["roles"]).startswith(b"serial=7\n"), "an earlier list is refused by whoever looks"
    assert machine.ask("enroll")["stands"] == "enrolled"
    assert not (machine.upper / "etc/gopub/roles.next").exists()
    assert machine.serves() == "served"


def test_what_somebody_else_did_meanwhile_is_not_taken_back(machine: Machine) -> None:
    """Two enrol a host for an env each, or one brings the list that takes a key off while the other one enrols."""
    machine.ask("enroll")
    seen = machine.ask("look")["seen"]
    assert machine.ask("enroll", seen=seen, envs="prod staging")["ok"] == "true"
    late = machine.ask("enroll", seen=seen, envs="lab prod")
    assert (late["ok"], late["code"]) == ("false", "GP481"), late
    assert "call it again" in late["message"]
    stands = machine.ask("look")
    assert (stands["stands"], stands["host.envs"]) == ("enrolled", "prod staging")
    machine.run("sed -i s/serial=1/serial=7/ /etc/gopub/roles")
    assert machine.ask("enroll", seen=stands["seen"])["code"] == "GP481"
    assert (machine.upper / "etc/gopub/roles").read_text().startswith("serial=7\n")
    assert machine.serves() == "served"
    assert machine.ask("enroll", seen=machine.ask("look")["seen"])["ok"] == "true", "called again"
    assert (machine.upper / "var/lib/gopub/root.lock").stat().st_mode & 0o777 == 0o600, "nobody else can hold it"


def test_an_enrolment_waits_for_a_word_of_the_roots(machine: Machine) -> None:
    machine.ask("enroll")
    held = "exec 7>>/var/lib/gopub/root.lock; flock 7; "
    text = program.enrolment().replace("flock -w 30 7", "flock -n 7")
    done = parsed(machine.run(f"({held} sleep 60) & sleep 1; {text}", machine.request("enroll")))
    assert (done["code"], machine.serves()) == ("GP481", "served")


def test_an_edge_is_told_its_control_socket(machine: Machine) -> None:
    for socket, line in (("/run/other/edge.sock", "socket=/run/other/edge.sock"), ("", None)):
        machine.ask("enroll", **({"socket": socket} if socket else {}))
        lines = (machine.upper / "etc/gopub/host").read_text().splitlines()
        assert (lines[5:], len(lines)) == ([line] if line else [], 6 if line else 5)


def test_user_gopub_may_run_the_program_and_nothing_else(machine: Machine) -> None:
    machine.ask("enroll")
    as_gopub = "setpriv --reuid=gopub --regid=gopub --clear-groups "
    assert machine.run(as_gopub + "sudo -n /usr/local/lib/gopub/order").stdout == b"served\n", "control"
    for other in ("/usr/local/lib/gopub/order facts", "sh -c id", "-u gopub /bin/true", "/usr/local/lib/gopub/shell"):
        done = machine.run(as_gopub + "sudo -n " + other)
        assert (done.returncode, done.stdout) == (1, b""), other
    for path in ("/var/lib/gopub-ssh/.ssh/authorized_keys", "/var/lib/gopub-ssh/x", "/var/lib/gopub-ssh/.ssh/rc"):
        assert machine.run(f"{as_gopub} sh -c 'echo evil >>{path}'").returncode, path


def test_no_program_of_a_command_line_is_run_or_even_waited_for(machine: Machine) -> None:
    machine.ask("enroll")
    shell = (machine.upper / "usr/local/lib/gopub/shell").read_text()
    assert shell.startswith("#!/bin/sh\n"), "sshd starts no file that does not say what runs it"
    ours = "/usr/local/lib/gopub/order"
    by_sudo = command_line(("sudo", "-n", "--", ours))  # ansible_become, or sudo: true, stands there from before
    for asked in ("", ours, by_sudo):
        assert machine.serves(asked=asked) == "served", "control: what drivers ask for"
    for asked in (
        "id",
        f"{ours} facts",
        f"{ours};id",
        f"{by_sudo} x",
        "sudo id",
        "/usr/lib/openssh/sftp-server",
        "scp -t /tmp",
        "$(id)",
    ):
        assert "code=GP472" in machine.serves(asked=asked).splitlines(), asked
    assert machine.serves(words=f"-c {ours}") == "served", "no command was forced: the shell is one all the same"
    assert "code=GP472" in machine.serves(words="-c id").splitlines()


KEYS = "ssh-keygen -A >/dev/null; mkdir -p /run/sshd; "
MANY = 86400


def sshd(line: str) -> str:
    return f"{KEYS} echo '{line}' >/etc/ssh/sshd_config.d/lab.conf"


STATES: dict[str, tuple[str, str, str]] = {
    "no openssl": ("GP478", "rm /usr/bin/openssl", "openssl"),
    "no sudo": ("GP491", "rm /usr/bin/sudo", "sudo"),
    "no visudo": ("GP491", "rm /usr/sbin/visudo", "visudo"),
    "nothing that makes users": ("GP491", "rm /usr/sbin/useradd /usr/sbin/adduser", "neither"),
    "a user gopub with a shell": ("GP492", "useradd -m -s /bin/bash gopub", "user gopub already"),
    "a group gopub": ("GP492", "groupadd gopub", "group gopub already"),
    "its home is a link": ("GP492", "ln -s /tmp /var/lib/gopub-ssh", "/var/lib/gopub-ssh is no plain folder"),
    "its folder is a file": ("GP492", "touch /etc/gopub", "/etc/gopub is no plain folder"),
    "its folder is a user's": ("GP492", "mkdir /usr/local/lib/gopub; chown 1 /usr/local/lib/gopub", "not root's"),
    "its program is a link": ("GP492", "mkdir /usr/local/lib/gopub; ln -s x /usr/local/lib/gopub/order", "plain file"),
    "a rule of somebody else": (
        "GP492",
        "echo '# mine' >/etc/sudoers.d/gopub; chmod 440 /etc/sudoers.d/gopub",
        "there already",
    ),
    "sudoers.d is not read": ("GP493", "sed -i /includedir/d /etc/sudoers", "does not include"),
    "sudo's files are broken": ("GP493", "echo 'what is this' >>/etc/sudoers", "not in order"),
    "sshd denies the user": ("GP496", sshd("DenyUsers bin gop*"), "DenyUsers"),
    "sshd allows others": ("GP496", sshd("AllowUsers root@10.* admin"), "AllowUsers"),
    "sshd allows groups": ("GP496", sshd("AllowGroups wheel"), "AllowGroups"),
    "sshd has keys elsewhere": ("GP496", sshd("AuthorizedKeysFile /etc/ssh/keys/%u"), "AuthorizedKeysFile"),
    "sshd takes no keys": ("GP496", sshd("PubkeyAuthentication no"), "PubkeyAuthentication"),
    "sshd forces a command": ("GP496", sshd("ForceCommand /bin/true"), "/bin/true"),
}


@pytest.mark.parametrize("state", STATES)
def test_a_host_on_which_it_cannot_hold_is_left_as_it_was(machine: Machine, state: str) -> None:
    code, script, said = STATES[state]
    assert not machine.run(script).returncode
    refused(machine, code, said)


def refused(machine: Machine, code: str, said: str, **request: object) -> None:
    before = machine.tree()
    told = machine.ask("enroll", **request)
    assert (told["ok"], told["code"], told["changed"]) == ("false", code, "false"), told
    assert said in told["message"]
    assert "left" not in told, told
    assert machine.tree() == before


@pytest.mark.parametrize(("code", "said", "request_"), [
    ("GP434", "for machine", {"machine_id": "f" * 32}),
    ("GP497", "off by -86", {"now": int(SystemClock().now()) + MANY}),
    ("GP497", "off by 86", {"now": int(SystemClock().now()) - MANY}),
    ("GP481", "the middle of 'login'", {"login": 4000}),
    ("GP481", "the middle of 'roles'", {"roles": 90000}),
    ("GP481", "no number", {"order": "1e9"}),
    ("GP481", "does not know", {"order": "1\nevil=1"}),
    ("GP481", "no key of the role admission", {"roles": 200}),
])  # fmt: skip
def test_a_request_that_does_not_fit_changes_nothing(
    machine: Machine, code: str, said: str, request_: dict[str, object]
) -> None:
    refused(machine, code, said, **request_)


@pytest.mark.parametrize(("mount", "said"), [
    ("mount -t tmpfs -o size=64k none $2/root/var/lib", "the disk is full"),
    ("mount -t tmpfs -o nr_inodes=20 none $2/root/etc/sudoers.d", "the disk is full"),
    ("mount --bind $2/root/usr $2/root/usr; mount -o remount,ro,bind $2/root/usr", "read-only"),
    ("mount --bind $2/root/etc/hostname $2/root/etc/sudoers.d/README; mkdir $2/root/etc/sudoers.d/gopub.new", "gopub"),
])  # fmt: skip
def test_a_host_that_cannot_be_written_is_left_as_it_was(machine: Machine, mount: str, said: str) -> None:
    machine.before = mount
    refused(machine, "GP494", said)


def test_a_copied_image_is_refused_until_it_is_unenrolled(machine: Machine) -> None:
    machine.ask("enroll")
    other = "f" * 32
    machine.write("etc/machine-id", f"{other}\n")
    refused(machine, "GP495", "an image was copied", machine_id=other)
    assert machine.ask("unenroll", machine_id=other)["ok"] == "true"
    assert machine.ask("enroll", machine_id=other)["ok"] == "true"


def test_a_failure_while_it_is_healed_leaves_the_host_enrolled(machine: Machine) -> None:
    machine.ask("enroll")
    at = "$2/root/var/lib/gopub-ssh/.ssh"
    machine.before = f"mount --bind {at} {at}; mount -o remount,ro,bind {at}"
    whole = machine.tree()
    told = machine.ask("enroll", login=len(machine_login()) - 6)  # another line for the user: it must be written
    assert (told["ok"], told["code"]) == ("false", "GP494"), told
    machine.before = ""
    assert (machine.serves(), machine.tree()) == ("served", whole)


def machine_login() -> str:
    return LOGIN + "\n"


def cut(machine: Machine, verb: str, start: str) -> int:
    """Cut the power before every command in turn; gives how many there were."""
    at = 0
    while True:
        at += 1
        machine.fresh()
        if start == "enrolled":
            machine.ask("enroll")
        died = machine.killed(verb, at)
        served = machine.serves()
        stands = machine.ask("look")["stands"]
        assert (served == "served") == (stands == "enrolled"), f"cut {at}: {stands}, and it says {served!r}"
        if at % 2:
            done = machine.ask("enroll")
            assert (done["ok"], done["stands"], machine.serves()) == ("true", "enrolled", "served"), f"cut {at}: {done}"
        machine.ask("unenroll")
        assert machine.tree() == {"etc/machine-id": machine.tree()["etc/machine-id"]}, f"cut {at}"
        if not died:
            return at


def test_an_enrolment_that_is_cut_anywhere_serves_nobody_and_is_finished_or_undone(machine: Machine) -> None:
    assert cut(machine, "enroll", "none") > 30


def test_so_is_an_unenrolment(machine: Machine) -> None:
    assert cut(machine, "unenroll", "enrolled") > 8


_SYNC = """#!/bin/sh
for one; do [ ! -f "$one" ] || sha256sum <"$one" >>/kill/synced; done
exec /usr/bin/sync "$@"
"""


def test_all_that_enrolment_lays_is_on_the_disk_when_it_answers(machine: Machine) -> None:
    """A power cut right after it leaves no empty file: without what may be gone back to, no rollback is let in."""
    digest = "c" * 64
    manifest = f"release={'a' * 64}\nrender={'b' * 64}\nbinary={digest}\n"
    machine.write("opt/hello/releases/aaaaaaaaaaaa-bbbbbbbbbbbb/.gopub-manifest", manifest)
    machine.write("kill/sync", _SYNC, 0o755)
    text = program.enrolment().replace("PATH=/usr/sbin:", "PATH=/kill:/usr/sbin:")
    told = parsed(machine.run(text, machine.request("enroll")))
    assert told["ok"] == "true", told
    synced = {line.split()[0] for line in (machine.upper / "kill/synced").read_text().splitlines()}
    ours = ("etc/gopub/", "var/lib/gopub", "usr/local/lib/gopub/", "etc/sudoers.d/")
    laid = [machine.upper / name for name in machine.tree() if name.startswith(ours)]
    files = {one for one in laid if one.is_file() and one.stat().st_size}
    assert machine.upper / "var/lib/gopub/ran/hello" in files, "control: there is what may be gone back to"
    assert not {str(one) for one in files if hashlib.sha256(one.read_bytes()).hexdigest() not in synced}


def looked(machine: Machine) -> Stands:
    stands = Answer.parse(machine.run(program.enrolment(), machine.request("look")).stdout, host="app1").stands
    assert stands
    return stands


def test_a_second_controller_leaves_the_first_one_its_login(machine: Machine, tmp_path: Path) -> None:
    first, second = (login_line(public_half(make_login(tmp_path / name))) for name in ("first", "second"))
    machine.login = first
    machine.ask("enroll")
    file = machine.upper / "var/lib/gopub-ssh/.ssh/authorized_keys"
    file.write_text(first + first.removeprefix("restrict,"))
    before = looked(machine)
    machine.login = logins_with(before, second)
    done = machine.ask("enroll", seen=before.seen)
    assert (done["ok"], file.read_text()) == ("true", first + second), done
    assert fingerprints(looked(machine).login) == fingerprints(first + second)
    again = looked(machine)
    machine.login = logins_with(again, first)
    assert machine.ask("enroll", seen=again.seen)["changed"] == "false", "the first one heals it, and takes nobody off"
    machine.login = logins_with(again, second, alone=True)
    assert machine.ask("enroll", seen=again.seen)["ok"] == "true"
    late = machine.ask("enroll", seen=again.seen)
    assert (late["code"], file.read_text()) == ("GP481", second), "who looked before would let the first one in again"


def test_a_host_tells_of_which_gopub_its_program_is(machine: Machine) -> None:
    machine.ask("enroll")
    assert looked(machine).version == "1.2.3", "a program that does not say so: by the enrolment"
    order = machine.upper / "usr/local/lib/gopub/order"
    order.write_text(ORDER.replace("\n", "\ngopub=1.10.0-rc.1\n", 1))
    assert looked(machine).version == "1.10.0-rc.1"
    order.write_text(f"{ORDER}gopub=9.9.9\n")
    assert looked(machine).version == "1.2.3", "another line says nothing"
