"""What an enrolled host reads, and asks of its edge, by its own fixed verbs: the same bytes, and nothing else."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from gopub import tails
from gopub.health.backends.journald import to_read as journal_reading
from gopub.health.backends.logfile import to_read as file_reading
from gopub.process import Executor
from gopub.traffic.backends.nginx.client import NginxRouter, Question

PROGRAM = Path(__file__).parents[2] / "gopub/fleet/program"
PARTS = ("base", "order", "facts", "stage", "switch", "mode_side", "before", "signed", "logs", "tables")
INBOX = 'inbox=$RUN/order.1 at=1\ntrue >"$inbox.in"\n'  # what came in with the head: nothing of the payload
MARK = b"# Written by gopub for x"
MOST_TABLE = 1 << 20
SIGNATURE = f"{'ab' * 32}:{'MEUC' * 24}=="


@dataclass(frozen=True)
class Answer:
    """What a record says, and what stands behind it."""

    said: Mapping[str, str]
    out: bytes
    code: int
    err: str

    @property
    def refused(self) -> str:
        assert (self.said["ok"], self.code) == ("false", 1), self
        assert self.out == b"", "what is refused is not done"
        return self.said["code"]

    @property
    def ok(self) -> bool:
        return self.said["ok"] == "true"


@dataclass
class Host:
    """A host below a folder of this machine, under one of the shells that hosts have."""

    root: Path
    shell: str

    def path(self, place: str) -> Path:
        """Where a path of the host lies here."""
        return self.root / place.lstrip("/")

    def write(self, place: str, data: bytes) -> Path:
        path = self.path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def do(self, verb: str, *, body: bytes = b"", control: str = "", **said: str) -> Answer:
        """One order, as it is once it was let in; ``control`` takes a line out of the program."""
        text = "".join((PROGRAM / f"{part}.sh").read_text() for part in PARTS) + tails.functions()
        assert control in text
        text = text.replace(control, ": ") if control else text
        bin_folder, around = self.root / "bin", os.environ["PATH"]
        text = text.replace("PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"PATH={bin_folder}:{around}")
        for place in ("/etc/systemd/system", "/opt/", "/var/log", "/var/lib/", "/etc/gopub", "/run/gopub/edge.sock"):
            text = text.replace(place, f"{self.root}{place}")
        pairs = {"host": "h1", "verb": verb, "instance": "hello", "app": "hello", "env": "lab"} | {
            name.replace("__", "."): value for name, value in said.items()
        }
        known = "".join(f"o_{name}={shlex.quote(value)}\n" for name, value in pairs.items())
        text += (
            f"RUN={self.root}/run/orders ETC={self.root}/etc/gopub\n{known}paths\n{INBOX}do_{verb.replace('-', '_')}\n"
        )
        ran = subprocess.run(
            (str(bin_folder / "sh"), "-c", text, "gopub"), input=body, capture_output=True, check=False, timeout=60
        )
        head, end, out = ran.stdout.partition(b"\nend=1\n")
        assert end, ran
        lines = dict(line.split("=", 1) for line in head.decode().splitlines())
        assert not list(self.path("/run/orders").iterdir()), "nothing is left behind"
        if lines["ok"] == "false":
            assert ran.returncode == 1, ran
            assert not ran.stderr, ran
            return Answer(lines, out, ran.returncode, "")
        assert (ran.returncode, ran.stderr) == (0, b""), ran
        size = int(lines["value.out"])
        assert size + int(lines["value.err"]) == len(out)
        return Answer(lines, out[:size], int(lines["value.exit"]), out[size:].decode())

    def file(self, path: str, **said: str) -> Answer:
        """A reading of a file."""
        return self.do("logs", **{"arg_path": str(self.path(path)), "arg_most": "1000", "arg_within": "9"} | said)


@pytest.fixture(params=["dash", "busybox"])
def host(tmp_path: Path, request: pytest.FixtureRequest) -> Host:
    found = shutil.which(request.param)
    assert found
    (tmp_path / "bin").mkdir()
    for folder in (
        "var/log/hello",
        "opt/hello/shared/log",
        "etc/systemd/system",
        "etc/gopub",
        "run/gopub",
        "run/orders",
    ):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "bin/sh").symlink_to(found)
    made = Host(tmp_path, request.param)
    made.write("/etc/gopub/host", b"names=h1\n")
    made.write("/etc/systemd/system/hello.service", MARK)
    systemctl = made.write("/bin/systemctl", b"#!/bin/sh\necho LoadState=loaded\n")
    journalctl = made.write("/bin/journalctl", b'#!/bin/sh\ncat "$0.lines"; echo asked "$1" >&2\n')
    for program in (systemctl, journalctl):
        program.chmod(0o755)
    return made


def unpinned(host: Host, argv: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """The same as a host that is not enrolled is asked."""
    around = f"{host.root / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(argv, capture_output=True, check=False, env={"PATH": around, "LC_ALL": "C"}, timeout=60)


def same(done: Answer, there: subprocess.CompletedProcess[bytes]) -> None:
    assert (done.ok, done.out, done.code) == (True, there.stdout, there.returncode)
    assert done.err == there.stderr.decode()


LINES = b"".join(
    b'{"__CURSOR":"s=%d;i=1","__REALTIME_TIMESTAMP":"%d","MESSAGE":"%s"}\n' % (n, n * 10**6, b"x" * n)
    for n in range(9, 0, -1)
)


@pytest.mark.parametrize("cursor", ["", "s=4;i=1", "s=unknown"])
@pytest.mark.parametrize("most", [100_000, 150])
def test_a_journal_is_read_as_on_a_host_that_is_not_enrolled(host, cursor, most):
    host.write("/bin/journalctl.lines", LINES)
    call = journal_reading("hello.service", cursor, 3600.0, most)
    done = host.do("logs", **{f"arg_{name}": value for name, value in call.arguments.items()})
    same(done, unpinned(host, call.argv))
    assert b"gopub " in done.out
    assert done.err == "asked --unit=hello.service\n"


def test_the_journal_of_another_service_is_not_read(host):
    """Whatever instance an order names, and whoever signed it: sshd's is not gopub's."""
    host.write("/bin/journalctl.lines", LINES)
    asked = {"arg_age": "9", "arg_most": "1000", "arg_lines": "9", "arg_within": "3"}
    assert host.do("logs", instance="ssh", **asked).refused == "GP473"
    host.write("/etc/systemd/system/ssh.service", b"[Service]\n")
    assert host.do("logs", instance="ssh", **asked).refused == "GP473"
    assert host.do("logs", instance="ssh", control="is_readable || fail GP473", **asked).out, (
        "control: it is there to be read"
    )
    assert host.do("logs", **asked).out
    host.write("/opt/ssh/.gopub/before/manifest", b"unit=x\n")
    assert host.do("logs", instance="ssh", **asked).out, "what was adopted is read"


def test_the_journal_of_a_unit_that_is_gone_is_read(host):
    host.write("/bin/journalctl.lines", LINES)
    host.write("/bin/systemctl", b"#!/bin/sh\necho LoadState=not-found\n")
    host.path("/etc/systemd/system/hello.service").unlink()
    assert host.do("logs", arg_age="9", arg_most="1000", arg_lines="9", arg_within="3").out


@pytest.mark.parametrize(
    "cursor",
    ["$(touch {})", "`touch {}`", "s=1;touch {}", 's=1";system("touch {}")', "s=1\\", "s=1'", "s=\u00e9", "a b"],
)
def test_a_cursor_with_characters_of_a_shell_is_refused(host, cursor):
    host.write("/bin/journalctl.lines", LINES)
    trap = host.root / "trap"
    asked = {"arg_age": "9", "arg_most": "1000", "arg_lines": "9", "arg_within": "3"}
    assert host.do("logs", arg_cursor=cursor.format(trap), **asked).refused == "GP430"
    assert host.file("/var/log/hello/a.log", arg_cursor=cursor.format(trap)).refused == "GP430"
    assert not trap.exists()


@pytest.mark.parametrize(
    "cursor", ["1", ":", "1:", ":1", "1:2:3", "x:1", "none:x", "9" * 21 + ":1", "1:" + "9" * 16, "-1:1"]
)
def test_what_is_no_place_in_a_file_is_refused(host, cursor):
    host.write("/var/log/hello/a.log", b"one\n")
    assert host.file("/var/log/hello/a.log", arg_cursor=cursor).refused == "GP430"
    assert host.file("/var/log/hello/a.log", arg_cursor="1:0").ok, "control"


@pytest.mark.parametrize(
    "said",
    [
        {"arg_most": "2097153"},
        {"arg_within": "61"},
        {"arg_within": "0"},
        {"arg_lines": "20001"},
        {"arg_most": "-1"},
        {"arg_age": "$(id)"},
        {"arg_most": ""},
    ],
    ids=str,
)
def test_a_reading_has_bounds(host, said):
    host.write("/var/log/hello/a.log", b"one\n")
    assert host.file("/var/log/hello/a.log", **said).refused == "GP430"


@pytest.mark.parametrize(
    "place",
    ["/var/log/hello/a.log", "/opt/hello/shared/log/a.log", "/var/lib/hello/a.log", "/var/lib/gopub-logs/hello.jsonl"],
)
@pytest.mark.parametrize("most", [0, 5, 1000])
def test_a_file_is_read_as_on_a_host_that_is_not_enrolled(host, place, most):
    data = b"ERROR one\n\0\xff\x81 two\nend=1\n" * 3
    file = host.write(place, data)
    inode = str(file.stat().st_ino)
    for known, offset in (("", 0), (inode, 4), (inode, 10_000), ("none", 0), ("17", 3)):
        call = file_reading(str(file), known, offset, most, 9)
        done = host.do("logs", **{f"arg_{name}": value for name, value in call.arguments.items()})
        same(done, unpinned(host, call.argv))
        assert done.out.startswith(f"gopub {inode} ".encode())


def test_a_file_that_was_turned_over_is_read_to_its_end(host):
    old = host.write("/var/log/hello/a.log.1", b"ERROR old\n")
    host.write("/var/log/hello/a.log", b"ERROR new\n")
    call = file_reading(str(host.path("/var/log/hello/a.log")), str(old.stat().st_ino), 6, 1000, 9)
    done = host.do("logs", **{f"arg_{name}": value for name, value in call.arguments.items()})
    same(done, unpinned(host, call.argv))
    assert b"old\n" in done.out
    assert b"ERROR new\n" in done.out


def test_a_file_that_is_not_there_is_told(host):
    call = file_reading(str(host.path("/var/log/hello/none.log")), "", 0, 0, 9)
    done = host.do("logs", **{f"arg_{name}": value for name, value in call.arguments.items()})
    same(done, unpinned(host, call.argv))
    assert done.out == b"gopub none\n"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "/var/log/../../etc/shadow",
        "/var/log/hello/../../../etc/shadow",
        "/var/log//etc/shadow",
        "/var/log/./a",
        "/var/log/hello/..",
        "/var/log/hello/",
        "/var/log",
        "/var/logs/a",
        "/opt/hello/.gopub/state",
        "/opt/hello/current/config.yaml",
        "/opt/other/shared/a.log",
        "/var/lib/other/a.log",
        "/var/lib/gopub/nonces/hello",
        "/var/lib/hello/../gopub/x",
        "/var/lib/hellothere/a",
        "/opt/hello/shared",
        "a.log",
    ],
)
def test_a_file_elsewhere_is_not_read(host, path):
    host.write("/etc/shadow", b"root:secret\n")
    place = f"{host.root}{path}" if path.startswith("/") else path
    assert host.do("logs", arg_path=place, arg_most="1000", arg_within="9").refused == "GP473"


@pytest.mark.parametrize("place", ["/var/lib/mysql/data", "/opt/mysql/shared/data", "/var/lib/gopub/nonces"])
def test_what_another_service_keeps_is_not_read_by_naming_it(host, place):
    """Nobody's unit, or one that gopub did not write: an order may name any instance."""
    file, instance = host.write(place, b"theirs\n"), place.split("/")[3 if place.startswith("/var") else 2]
    assert host.file(place, instance=instance).refused == "GP473"
    host.write(f"/etc/systemd/system/{instance}.service", b"[Service]\n")
    assert host.file(place, instance=instance).refused == "GP473"
    host.write(f"/opt/{instance}/.gopub/before/manifest", b"unit=x\n")  # the same key gives the word for that
    adopted = host.file(place, instance=instance)
    assert adopted.ok == place.startswith("/opt/")
    host.write(f"/etc/systemd/system/{instance}.service", MARK)
    assert b"theirs" in host.file(place, instance=instance).out, "control: of a service of gopub's it is read"
    file.unlink()
    host.write(f"/etc/systemd/system/{instance}.service", b"[Service]\n")
    assert host.file(place, instance=instance).out == b"gopub none\n"


def test_a_file_with_a_secret_would_be_read_without_the_check(host):
    host.write("/etc/shadow", b"root:secret\n")
    done = host.do("logs", arg_path=f"{host.root}/etc/shadow", arg_most="99", arg_within="9",
                   control='is_log "$o_arg_path" || fail')  # fmt: skip
    assert done.refused == "GP473", "a second check: it leads out"


@pytest.mark.parametrize("through", ["the file", "its folder", "a rotated one", "a dangling one"])
def test_a_link_that_leads_out_is_not_followed(host, through):
    """Root's own links too: today they are followed, as whoever may run programs as root can read all anyway."""
    secret = host.write("/etc/secret/a.log", b"root:secret\n")
    place = host.path("/var/log/hello/a.log")
    cursor = ""
    if through == "the file":
        place.symlink_to(secret)
    elif through == "its folder":
        place.parent.rmdir()
        place.parent.symlink_to(secret.parent)
    elif through == "a rotated one":
        place.write_bytes(b"")
        place.with_name("a.log.1").symlink_to(secret)
        cursor = f"{place.with_name('a.log.1').lstat().st_ino}:0"
    else:
        place.symlink_to(host.root / "etc/secret/none")
    done = host.file("/var/log/hello/a.log", arg_cursor=cursor)
    assert b"secret" not in done.out
    if through == "a rotated one":
        assert "in no folder of logs" in done.err
    else:
        assert done.refused == "GP473"
    there = unpinned(host, file_reading(str(place), cursor.partition(":")[0], 0, 99, 9).argv)
    assert (b"secret" in there.stdout) == (through != "a dangling one"), "control: it leads there"


def test_a_link_within_the_folders_is_followed(host):
    host.write("/var/log/hello/a-2026.log", b"ERROR one\n")
    host.path("/var/log/hello/a.log").symlink_to("a-2026.log")
    assert b"ERROR one" in host.file("/var/log/hello/a.log").out


def test_a_link_that_is_laid_after_the_look_is_not_followed(host):
    """Whoever owns the folder swaps the file between the check and the reading."""
    secret = host.write("/etc/secret/a.log", b"root:secret\n")
    place = host.write("/var/log/hello/a.log", b"")
    swap = host.write("/bin/timeout", f'#!/bin/sh\nln -sf {secret} {place}\nexec /usr/bin/timeout "$@"\n'.encode())
    swap.chmod(0o755)
    done = host.file("/var/log/hello/a.log")
    assert place.is_symlink()
    assert (done.out, done.ok) == (b"", True)
    assert "in no folder of logs" in done.err


def test_what_is_no_regular_file_is_not_read(host):
    """A FIFO would hold the order until somebody writes to it, a device has no end."""
    os.mkfifo(host.path("/var/log/hello/fifo"))
    host.path("/var/log/hello/folder").mkdir()
    host.path("/var/log/hello/zero").symlink_to("/dev/zero")
    for name in ("fifo", "folder", "zero"):
        assert host.file(f"/var/log/hello/{name}").refused == "GP473"


def test_a_fifo_that_is_laid_after_the_look_ends_with_the_time_that_there_is(host):
    place = host.write("/var/log/hello/a.log", b"")
    swap = host.write("/bin/stat", f'#!/bin/sh\nrm -f {place}\nmkfifo {place}\nexec /usr/bin/stat "$@"\n'.encode())
    swap.chmod(0o755)
    done = host.file("/var/log/hello/a.log", arg_within="1")
    assert (done.out, done.ok) == (b"", True)


@contextmanager
def edge(host: Host, answer: bytes = b'{"fine":true}', status: str = "200 OK") -> Iterator[list[bytes]]:
    """Something that answers on the control socket; gives what it was sent."""
    place, seen = host.path("/run/gopub/edge.sock"), []
    server = socket.socket(socket.AF_UNIX)
    here = os.open(place.parent, os.O_PATH)
    server.bind(f"/proc/self/fd/{here}/edge.sock")  # a path of a test may be longer than a socket's
    os.close(here)
    server.listen()

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                with client, client.makefile("rb") as said:
                    head = b""
                    while (line := said.readline()).strip():
                        head += line
                    lengths = [line for line in head.lower().splitlines() if line.startswith(b"content-length:")]
                    seen.append(head + b"\r\n" + said.read(int(lengths[0].split(b":")[1])) if lengths else head)
                    client.sendall(
                        f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n".encode()
                        + answer
                    )

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
        place.unlink()


def put(host: Host, body: bytes, **said: str) -> Answer:
    """A table, as an order carries it."""
    carried = {"arg_files_size": str(len(body)), "digest_files": hashlib.sha256(body).hexdigest(), "arg_within": "9"}
    return host.do("table-put", body=body, **{"arg_path": "/v1/tables/hello"} | carried | said)


def get(host: Host, path: str, **said: str) -> Answer:
    return host.do("table-get", **{"arg_path": path, "arg_within": "9"} | said)


def asked_by_curl(host: Host, method: str, path: str, body: bytes = b"", signature: str = "") -> tuple[bytes, int, str]:
    """As gopub asks an edge that is not enrolled."""
    router = NginxRouter(("e1",), _nobody, socket=str(host.path("/run/gopub/edge.sock")))
    call = router.to_ask(Question(method, path, body, signature))
    ran = subprocess.run(call.argv, input=body, capture_output=True, check=False, timeout=60)
    return ran.stdout, ran.returncode, ran.stderr.decode()


async def _nobody(name: str) -> Executor:
    raise AssertionError(name)


BODIES = [b"{}", b'{"a":1}\n\n\n', bytes(range(1, 256)) * 9, b"x" * MOST_TABLE, b"%s%n\\0\\c -n"]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{len(body)} bytes")
@pytest.mark.parametrize("signature", ["", SIGNATURE])
def test_a_table_comes_to_the_edge_as_it_does_today(host, body, signature):
    with edge(host) as seen:
        done = put(host, body, arg_signature=signature)
        there = asked_by_curl(host, "PUT", "/v1/tables/hello", body, signature)
    assert (done.out, done.code, done.err) == there == (b'{"fine":true}\n200', 0, "")
    assert seen[0] == seen[1]
    assert seen[0].endswith(b"\r\n" + body)
    assert (f"X-Gopub-Signature: {SIGNATURE}".encode() in seen[0]) == bool(signature)


@pytest.mark.parametrize("path", ["/v1/status?upstream=hello", "/v1/counters/hello?releases=0123456789ab,ba9876543210",
                                  "/v1/counters/my.up-st_ream?releases="])  # fmt: skip
def test_an_edge_is_asked_as_it_is_today(host, path):
    with edge(host, b'{"refused":"line\nline"}', "404 Not Found") as seen:
        done = get(host, path)
        there = asked_by_curl(host, "GET", path)
    assert (done.out, done.code, done.err) == there
    assert done.out.endswith(b"\n404")
    assert seen[0] == seen[1]


def test_an_edge_that_is_not_there_is_told_as_today(host):
    done = get(host, "/v1/status?upstream=hello")
    assert (done.out, done.code, done.err) == asked_by_curl(host, "GET", "/v1/status?upstream=hello")
    assert done.code == 7


def test_an_answer_that_has_no_end_is_cut(host):
    """An edge's socket is root's, and what answers there may be broken all the same."""
    with edge(host, b"x" * (5 << 20)):
        done = get(host, "/v1/status?upstream=hello")
    assert len(done.out) == 4 << 20
    assert done.code != 0


OTHER_PATHS = [
    "/v1/farewell", "/v1/source", "/v1/status", "/v1/status?upstream=", "/v1/tables/hello/..", "/v1/tables/..;/status",
    "/v1/tables/..", "/v1/tables/.", "/v1/tables/", "/v1/tables/hello?x", "/v1/tables/hello%2e", "/v1/tables/a b", "/",
    "/v1/tables/hello\r\nX-Evil: 1", "/v1/tables/hello\r", "/v1/tables/{a,b}", "/v1/tables/[1-3]", "/v1/tables/hello#x",
    "/v1/tables/$(id)", "@evil.example/v1/tables/hello", ".evil.example/", "/v1/counters/hello?releases=$(id)",
    "/v1/counters/hello?releases=a&x=1", "/v1/counters/../tables/hello?releases=a", "/v1/counters/hello",
    "/v1/counters/?releases=a", "/v1/status?upstream=hello&x=y", "/v1/status?upstream=../x", "",
    "/v1/counters/hello?releases=a?releases=b", "//v1/tables/hello", "/v1/tables/Hello",
]  # fmt: skip


@pytest.mark.parametrize("path", OTHER_PATHS)
def test_no_other_path_is_asked(host, path):
    with edge(host) as seen:
        assert get(host, path).refused == "GP473"
        assert put(host, b"{}", arg_path=path).refused == "GP473"
    assert seen == []


def test_paths_are_of_one_verb(host):
    with edge(host) as seen:
        assert get(host, "/v1/tables/hello").refused == "GP473"
        assert put(host, b"{}", arg_path="/v1/status?upstream=hello").refused == "GP473"
        assert seen == []
        assert get(host, "/v1/farewell", control='is_get "$o_arg_path" || fail GP473').out, (
            "control: it answers to that"
        )


@pytest.mark.parametrize("signature", ["a\r\nX-Evil: 1", "a b", "$(id)", '"', "a;b", "@/etc/shadow"])
def test_a_signature_is_one_word(host, signature):
    with edge(host) as seen:
        assert put(host, b"{}", arg_signature=signature).refused == "GP430"
        assert get(host, "/v1/status?upstream=hello", arg_signature=signature).refused == "GP430"
    assert seen == []


def test_a_table_that_is_too_large_or_not_the_ordered_one_is_not_put(host):
    with edge(host) as seen:
        assert put(host, b"x" * (MOST_TABLE + 1)).refused == "GP430"
        assert put(host, b"").refused == "GP430"
        assert put(host, b"{}", arg_files_size="-1").refused == "GP430"
        assert put(host, b"{}", arg_files_size="3").refused == "GP424"
        assert put(host, b"{}", digest_files="a" * 64).refused == "GP425"
        assert put(host, b"{}", digest_files="").refused == "GP425"
        assert seen == []
        assert put(host, b"{\0}\n\n").ok, "no JSON has that, as the edge will say: the bytes are what was ordered"
    assert seen[0][-4:] == b"\0}\n\n"


def test_a_body_without_an_end_is_read_as_far_as_the_order_says(host):
    """What follows is nobody's; the order does not wait for its end."""
    with edge(host) as seen:
        done = put(host, b"{}" * 10**6, arg_files_size="2", digest_files=hashlib.sha256(b"{}").hexdigest())
    assert (done.out, seen[0][-4:]) == (b'{"fine":true}\n200', b"\r\n{}")


@pytest.mark.parametrize("whose", ["another user's", "a link", "a file", "in an open folder"])
def test_a_socket_of_somebody_else_is_not_asked(host, whose):
    place = host.path("/run/gopub/edge.sock")
    with edge(host) as seen:
        if whose == "another user's":
            os.chown(place, 12345, -1)
        elif whose == "a link":
            place.rename(place.with_name("other.sock"))
            place.symlink_to("other.sock")
        elif whose == "a file":
            place.unlink()
            place.write_bytes(b"")
        else:
            place.parent.chmod(0o777)
        assert get(host, "/v1/status?upstream=hello").refused == "GP473"
        assert seen == []


def test_the_socket_is_the_hosts_own_word(host):
    host.write("/etc/gopub/host", f"names=e1\nsocket={host.root}/run/gopub/own.sock\n".encode())
    with edge(host):
        place = host.path("/run/gopub/edge.sock")
        assert get(host, "/v1/status?upstream=hello").code == 7, "curl finds nobody there"
        place.rename(place.with_name("own.sock"))
        assert get(host, "/v1/status?upstream=hello").out.endswith(b"\n200")
        place.with_name("own.sock").rename(place)
