"""Every parser of what hosts, edges, Prometheus and this machine's own files say: a value, or an error of ours."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from gopub.canon import canonical, read_json
from gopub.errors import GopubError, UsageError
from gopub.fleet.backends.handshake import Patience, handshake, server
from gopub.fleet.backends.known import Pinned
from gopub.fleet.backends.trouble import AgainError
from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.inventory import load_inventory
from gopub.fleet.orders import Record
from gopub.health.backends.journald import parse_reading
from gopub.health.backends.prometheus import PrometheusSource
from gopub.health.loglines import classes
from gopub.journal import events as ev
from gopub.journal.kit import Kit, kit_path, read_kit, write_kit
from gopub.journal.late import Late, found, keep
from gopub.plan.model import Outcome
from gopub.process import Result
from gopub.spec.loader import parse_spec
from gopub.traffic import Peer, RouteTable, Track, encode, from_json
from gopub.traffic.backends.nginx import Nginx, NginxRouter
from gopub.wiring.backends import BACKENDS

from .drawn import Parser, check, inputs
from .test_rollout_schemas import EVENTS, PLAN, SPEC

FOLDER = Path(tempfile.mkdtemp(prefix="gopub-drawn-"))
TABLE = RouteTable(
    app="hello",
    env="lab",
    upstream="hello",
    revision=4,
    stable=Track("a" * 64, (Peer("a1", "10.0.0.1:80"),)),
    canary=Track("b" * 64, (Peer("a2", "10.0.0.2:80"),)),
    weight=2500,
    canary_until=1.5,
    salt="x",
    rollout="hello-lab-1",
)
INVENTORY = b"""\
[web]
web[01:03].example.com:2222 role=web rev=20261127.1 ansible_ssh_common_args='-o ProxyJump=ops@bastion:2022'
10.0.0.7 ansible_port=22 ansible_become=true ansible_host="{{ inventory_hostname }}.example.com"
[2001:db8::1]:22 quarantine="{{ true }}"
[app:children]
web
[app:vars]
ansible_user=root
weight=[1, 2, {'a': 0x10}]
"""
VARIABLES = b"""\
ansible_port: 2222
quarantine: [disk, 2]
nested: {a: [1, 2.5, yes], b: !unsafe "{{ x }}"}
when: 2026-11-27
text: |
  two
  lines
"""
RECORD = (
    b"""\
Welcome!
gopub-record=1
host=app1
verb=facts
epoch=3
token=abab
n=17
ok=true
changed=false
code=
message=
"""
    + b"".join(
        f"value.{name}={text}\n".encode()
        for name, text in {
            "machine_id": "0" * 32,
            "boot_id": "x",
            "hostname": "app1",
            "arch": "x86_64",
            "kernel": "6.1",
            "free_bytes": "100",
            "free_inodes": "9",
            "current": "a-b",
            "current_release": "a" * 64,
            "current_render": "b" * 64,
            "current_digest": "c" * 64,
            "previous": "",
            "releases": "a-b c-d",
            "epoch": "3",
            "token": "ab",
            "n": "1",
            "half": "",
            "unit.load": "loaded",
            "unit.active": "active",
            "unit.sub": "running",
            "unit.main_pid": "7",
            "unit.n_restarts": "0",
            "unit.invocation": "x",
            "unit.exe": "/x",
            "unit.exe_digest": "c" * 64,
            "unit.listening": "80,443",
        }.items()
    )
    + b"end=1\n"
)
STATUS = json.dumps(
    {"now": 1.5, "upstreams": {"hello": {"table": json.loads(encode(TABLE)), "inflight": {"a1": 3}}}},
    separators=(",", ":"),
).encode()
REFUSAL = b'{"code":"GP503","error":"the epoch is over","holds":{"app":"a","env":"b","epoch":3,"n":12,"revision":9}}'
SERIES = [
    {"metric": {"__name__": "gopub_edge_attempts_total", "class": "2xx", "host": "a1", "instance": "e", "release": "r"},
     "value": [100.0, "5"]},
    {"metric": {"__name__": "gopub_edge_request_seconds_bucket", "le": "0.5", "host": "a1"}, "value": [100.0, "7"]},
    {"metric": {"__name__": "go_gc_heap_live_bytes", "host": "a1"}, "values": [[98.0, "7"], [99.0, "8"]]},
]  # fmt: skip
ANSWER = json.dumps({"status": "success", "data": {"resultType": "vector", "result": SERIES}}).encode()
LINES = [
    {"MESSAGE": '{"level":"error","msg":"boom"}', "PRIORITY": "3", "__REALTIME_TIMESTAMP": "1700000000000000"},
    {"MESSAGE": [112, 97, 255], "_SYSTEMD_UNIT": "hello.service", "_SYSTEMD_INVOCATION_ID": "x"},
]
READING = b"\n".join(json.dumps(line).encode() for line in LINES) + b"\ngopub 2 0 start s=abc"
SSH_CONFIG = (
    b"Host *\n  Port 22\n  User root\n  Compression yes\n  IdentitiesOnly no\n  UserKnownHostsFile ~/a %h 'b c'\n"
    b'Match host="app*,!b" !user x\n  HostKeyAlias = "x" # why\n  IdentityFile %d/${HOME}/k\nInclude none/*\n'
)


class Said:
    """A channel on which curl prints what was drawn."""

    def __init__(self, out: bytes) -> None:
        self._out = out

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        return Result(tuple(argv), 0, self._out, stdin)


def edge(status: bytes) -> Any:
    def read(data: bytes) -> None:
        async def connect(_: str) -> Said:
            return Said(data + b"\n" + status)

        router = NginxRouter(("e1",), connect)
        for answer in (*asyncio.run(router.status("hello", "lab", "hello")), *asyncio.run(router.put(TABLE))):
            assert len(answer.error) < 2000
            assert answer.error.isprintable()

    return read


class Adapter(requests.adapters.BaseAdapter):
    """Answers every question with the same bytes."""

    body = b""

    def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = 200, request, request.url
        answer.raw = io.BytesIO(self.body)
        return answer

    def close(self) -> None:
        pass


ADAPTER = Adapter()
PROMETHEUS = PrometheusSource("http://prometheus.example")
PROMETHEUS._client._session.mount("http://prometheus.example", ADAPTER)


def prometheus(data: bytes) -> None:
    async def ask() -> list[object]:
        return [
            await PROMETHEUS.counters("hello", "lab", ["r"], 100.0),
            await PROMETHEUS.history("hello", "lab", ["r"], 100.0),
            await PROMETHEUS.runtime("hello", "lab", ["a1"], 100.0),
        ]

    ADAPTER.body = data
    for answer in asyncio.run(ask()):
        reason = getattr(answer, "reason", "")
        assert len(reason) < 1000
        assert reason.isprintable()


def inventory(data: bytes) -> None:
    (FOLDER / "hosts.ini").write_bytes(data)
    for error in load_inventory(FOLDER / "hosts.ini").unusable.values():
        str(error)


def variables(data: bytes) -> None:
    folder = FOLDER / "with"
    (folder / "group_vars").mkdir(parents=True, exist_ok=True)
    (folder / "hosts.ini").write_text("[web]\nw1\n")
    (folder / "group_vars/web.yml").write_bytes(data)
    load_inventory(folder / "hosts.ini")


def known_hosts(data: bytes) -> None:
    (FOLDER / "known_hosts").write_bytes(data)
    Pinned(FOLDER / "known_hosts", "app1").algorithms()


def ssh_config(data: bytes) -> None:
    """The port is closed: a file that can be read ends in no connection."""
    home = FOLDER / "home"
    (home / ".ssh").mkdir(parents=True, exist_ok=True)
    (home / ".ssh/config").write_bytes(data)
    options = SshOptions(known_hosts=FOLDER / "empty")
    (FOLDER / "empty").touch()
    with suppress(AgainError):  # the caller's to tell: GP413
        asyncio.run(connecting(options))


async def connecting(options: SshOptions) -> None:
    await handshake(await server("app1", "127.0.0.1", replace(options, port=1)), None, Patience())


def facts(data: bytes) -> None:
    HostFacts.parse(Record.parse(data.decode(errors="replace"), host="app1"))


def journald(data: bytes) -> None:
    entries, _ = parse_reading(data)
    for entry in entries:
        classes(entry.text, entry.priority)


def kit(data: bytes) -> None:
    kit_path(FOLDER, "hello", "lab").write_bytes(data)
    read_kit(FOLDER, "hello", "lab", BACKENDS)


def late(data: bytes) -> None:
    (FOLDER / "late").mkdir(exist_ok=True)
    (FOLDER / "late/late-r.json").write_bytes(data)
    list(found(FOLDER / "late"))


def event(data: bytes) -> None:
    value = read_json(data, limit=1 << 20) if data[:1] == b"{" else {}
    name, inner = value.get("type"), value.get("data")
    if isinstance(name, str) and isinstance(inner, dict):
        ev.decode(name, inner)


def example_kit() -> bytes:
    environment = parse_spec(SPEC, "gopub.yaml").spec.environments["lab"]
    host = Host("app1", "198.18.0.11")
    router = Nginx(kind="nginx", inventory="lab", hosts="role=edge")
    return write_kit(FOLDER, Kit(3, PLAN, (host,), environment, (host,), router, (("1.0.0", "b" * 64),))).read_bytes()


def example_late() -> bytes:
    keep(FOLDER, Late("r", "hello", "lab", 3, (ev.GoingBack(Outcome.ROLLED_BACK, 3, "E"),), "me", "0" * 32))
    return (FOLDER / "late-r.json").read_bytes()


def example_event() -> bytes:
    name, data = ev.encode(EVENTS[1])
    return canonical({"type": name, "data": data})


PARSERS = [
    Parser("inventory", inventory, INVENTORY),
    Parser("variables", variables, VARIABLES),
    Parser(
        "known_hosts", known_hosts, b"app1,10.0.0.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNk\n@revoked * ssh-rsa AAAA\n"
    ),
    Parser("ssh config", ssh_config, SSH_CONFIG),
    Parser("record and facts", facts, RECORD),
    Parser("edge status", edge(b"200"), STATUS, is_json=True),
    Parser("edge refusal", edge(b"409"), REFUSAL, is_json=True),
    Parser("route table", lambda data: from_json(strict(data)), encode(TABLE), is_json=True),
    Parser("Prometheus answer", prometheus, ANSWER, is_json=True),
    Parser("journald", journald, READING),
    Parser("kit", kit, example_kit(), is_json=True),
    Parser("late file", late, example_late(), is_json=True),
    Parser("event", lambda data: event(data) if looks_right(data) else None, example_event(), is_json=True),
]


def looks_right(data: bytes) -> bool:
    try:
        return isinstance(read_json(data, limit=1 << 20), dict)
    except ValueError:
        return False


def strict(data: bytes) -> Any:
    """As ``gopub route explain --table`` reads a file."""
    try:
        return read_json(data, limit=1 << 20)
    except ValueError as error:
        raise UsageError("GP506", f"cannot be read as a route table: {error}") from None


@pytest.fixture(autouse=True, scope="module")
def _home() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(FOLDER / "home"))
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        yield


@pytest.mark.parametrize("parser", PARSERS, ids=repr)
def test_the_example_is_read(parser: Parser) -> None:
    parser.read(parser.example)


@pytest.mark.parametrize("parser", PARSERS, ids=repr)
@settings(max_examples=150)
@given(st.data())
def test_drawn_bytes_give_a_value_or_an_error_of_ours(parser: Parser, data: st.DataObject) -> None:
    check(parser, data.draw(inputs(parser)))


@pytest.mark.parametrize(
    "text",
    [
        "Host *\n  Port abc\n",
        "Host *\n  Port 22 22\n",
        "Host *\nIdentitiesOnly perhaps\n",
        "Match nonsense\n",
        'Host "\n',
    ],
)
def test_a_bad_ssh_config_is_told_with_its_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"^~/.ssh/config:\d: GP352 the SSH configuration cannot be read: "):
        ssh_config(text.encode())
    ssh_config(SSH_CONFIG)  # the control


def test_counts_that_cannot_be_read_are_not_taken_for_none() -> None:
    async def held(counts: object) -> Any:
        status = {"now": 1.5, "upstreams": {"hello": {"table": json.loads(encode(TABLE)), "inflight": counts}}}

        async def connect(_: str) -> Said:
            return Said(json.dumps(status).encode() + b"\n200")

        (answer,) = await NginxRouter(("e1",), connect).status("hello", "lab", "hello")
        return answer

    assert asyncio.run(held({"a1": 3})).inflight == {"a1": 3}  # the control
    assert "cannot be read" in asyncio.run(held({"a1": "many"})).error


def test_an_answer_without_end_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gopub.health.backends.prometheus_http.MOST_BYTES", len(ANSWER) - 1)
    ADAPTER.body = ANSWER
    short = asyncio.run(PROMETHEUS.runtime("hello", "lab", ["a1"], 100.0))
    assert "larger than" in getattr(short, "reason", "")
    monkeypatch.undo()
    assert not getattr(asyncio.run(PROMETHEUS.runtime("hello", "lab", ["a1"], 100.0)), "reason", "")  # the control


def test_a_damaged_kit_is_an_error_of_ours_and_not_a_guess() -> None:
    with pytest.raises(GopubError, match=r"GP717 .*stands twice"):
        kit(example_kit().replace(b'"epoch"', b'"epoch":4,"epoch"', 1))
