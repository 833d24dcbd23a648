"""What an enrolled host believes: the installed program in dash and busybox, its paths in a folder, real openssl."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from gopub.fleet.orders import Order, Record
from gopub.fleet.signed import DOMAIN, MOST_HEAD, OrderKey, lines_v2, signed_lines
from gopub.traffic import signed as tables
from tests.support.enrolled import SHELLS, EnrolledHost, fresh_signer, order_key


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def host(tmp_path: Path) -> EnrolledHost:
    return EnrolledHost(tmp_path / "host")


def without(text: str, *checks: str) -> str:
    for check in checks:
        assert check in text
        text = text.replace(check, "" if check.endswith("\n") else "true", 1)
    return text


def head_of(host: EnrolledHost, **over: object) -> bytes:
    order = host.order(**over)
    return signed_lines(order, host.key, host.given(order))


def signed_by_hand(host: EnrolledHost, lines: bytes, *, domain: bytes = DOMAIN) -> bytes:
    """Any bytes as an order, under a true signature."""
    signature = base64.b64encode(host.signer.sign(domain + lines)).decode()
    return f"gopub-sig=1 {host.key.fingerprint} {signature}\n".encode() + lines


def test_a_signed_order_is_carried_out_once_and_its_record_given_again(host: EnrolledHost, shell: str) -> None:
    head = head_of(host)
    done = host.ask(head, shell=shell)
    assert (done.ok, done.verb, done.epoch, done.n) == (True, "prune", 3, 1)
    again = host.ask(head, shell=shell)
    assert (again.ok, again.values["repeated"]) == (True, "true")
    fresh = host.obey(host.order(), shell=shell)
    assert fresh.values["repeated"] == "true", "a nonce is no part of what an order is"
    assert host.obey(host.order(n=2), shell=shell).values.get("repeated") is None
    assert list((host.folder / "run").iterdir()) == [], "nothing stays of what came in"


def test_facts_say_that_the_host_is_enrolled(host: EnrolledHost, shell: str) -> None:
    facts = host.ask(signed_lines(replace(host.order("facts"), machine_id=""), host.key), shell=shell)
    assert facts.ok
    assert {name: facts.values[name] for name in ("enrolled", "names", "envs", "roles", "keys.controller")} == {
        "enrolled": "1", "names": "h1 app1", "envs": "prod lab", "roles": "3",
        "keys.controller": host.key.fingerprint,
    }  # fmt: skip
    assert len(facts.values["nonce"]) == 32
    assert len(facts.values["program"]) == 64


def stage_order(host: EnrolledHost, **arguments: str) -> Order:
    digests = {"archive": "0" * 64, "binary": "1" * 64, "files": "2" * 64}
    return host.order("stage", release="a" * 64, render="b" * 64, digests=digests, arguments=arguments)


def admitting_all(host: EnrolledHost) -> str:
    """The program as it would be without admissions, which are another matter."""
    return without(host.text(), "    admit_order\n")


def test_a_payload_arrives_byte_for_byte_behind_the_head(host: EnrolledHost, shell: str) -> None:
    """More than what is read at once, with zero bytes and empty lines; cut short it is told so."""
    text = admitting_all(host)

    def sent(n: int, size: int, payload: bytes) -> Record:
        order = replace(stage_order(host, files_size=str(size)), n=n)
        return host.ask(signed_lines(order, host.key, host.given(order)) + payload, shell=shell, text=text)

    payload = bytes(range(256)) * 1024 + b"\n\ngopub=2\n\n"
    said = sent(1, len(payload), payload)
    assert said.code == "GP425"
    assert sha256(payload).hexdigest() in said.message
    assert sent(2, len(payload), payload[:-1]).code == "GP424"
    assert sha256(b"\n\0\n\n").hexdigest() in sent(3, 4, b"\n\0\n\n").message


Change = Callable[[EnrolledHost, bytes], bytes]


def _line(host: EnrolledHost, head: bytes, signature: bytes) -> bytes:
    key = host.key.fingerprint.encode()
    return b"gopub-sig=1 " + key + b" " + signature + b"\n" + head.partition(b"\n")[2]


def _other_key(host: EnrolledHost, _: bytes) -> bytes:
    return signed_lines(host.order(), order_key(fresh_signer()), host.given(host.order()))


def _of_another_role(host: EnrolledHost, _: bytes) -> bytes:
    signer = fresh_signer()
    host.believe(signer, "admission")
    return signed_lines(host.order(), order_key(signer), host.given(host.order()))


def _claims_a_key(host: EnrolledHost, head: bytes) -> bytes:
    """Signed by a stranger, in the name of a believed key."""
    order = host.order()
    stranger = OrderKey(host.key.fingerprint, fresh_signer().sign)
    del head
    return signed_lines(order, stranger, host.given(order))


def _as_a_path(host: EnrolledHost, head: bytes) -> bytes:
    """A key file that is no believed one, named by its way."""
    signer = fresh_signer()
    place = host.believe(signer, "release")
    name = f"../release/{place.stem}"
    return head.replace(host.key.fingerprint.encode(), name.encode(), 1)


def _table(host: EnrolledHost, head: bytes) -> bytes:
    return signed_by_hand(host, head.partition(b"\n")[2], domain=tables.DOMAIN)


def _long(host: EnrolledHost, head: bytes) -> bytes:
    del head
    nonce = host.given(host.order())
    return signed_by_hand(host, lines_v2(host.order(reason="x" * MOST_HEAD), nonce))


REFUSED: dict[str, tuple[str, Change]] = {
    "unsigned, format 1": ("GP460", lambda host, _: host.order().lines()),
    "unsigned, format 2": ("GP460", lambda _, head: head.partition(b"\n")[2]),
    "nothing": ("GP460", lambda *_: b""),
    "an empty line first": ("GP460", lambda _, head: b"\n" + head),
    "a zero byte first": ("GP462", lambda _, head: b"\0" + head),
    "another version": ("GP460", lambda _, head: head.replace(b"sig=1", b"sig=2", 1)),
    "another key": ("GP461", _other_key),
    "a key of another role": ("GP461", _of_another_role),
    "another's signature": ("GP462", _claims_a_key),
    "a key that is a path": ("GP462", _as_a_path),
    "a key in capitals": ("GP462", lambda host, head: head.replace(host.key.fingerprint.encode(), b"A" * 64, 1)),
    "a key too short": ("GP462", lambda host, head: head.replace(host.key.fingerprint.encode(), b"a" * 63, 1)),
    "no signature": ("GP462", lambda host, head: _line(host, head, b"")),
    "not Base64": ("GP462", lambda host, head: _line(host, head, b"%%%%")),
    "a shell's words": ("GP462", lambda host, head: _line(host, head, b"$(id)`id`")),
    "a line of 64 KiB": ("GP462", lambda host, head: _line(host, head, b"a " * 32_000)),
    "a word more": ("GP462", lambda _, head: head.replace(b"\n", b" x\n", 1)),
    "two spaces": ("GP462", lambda _, head: head.replace(b"=1 ", b"=1  ", 1)),
    "of a table": ("GP462", _table),
    "without a domain": ("GP462", lambda host, head: signed_by_hand(host, head.partition(b"\n")[2], domain=b"")),
    "a changed line": ("GP462", lambda _, head: head.replace(b"n=1\n", b"n=2\n", 1)),
    "a line more": ("GP462", lambda _, head: head.replace(b"gopub=2\n", b"gopub=2\nreason=x\n", 1)),
    "a line taken": ("GP462", lambda _, head: head.replace(b"epoch=3\n", b"", 1)),
    "cut in the middle": ("GP462", lambda _, head: head[: len(head) // 2]),
    "without its last byte": ("GP462", lambda _, head: head[:-1]),
    "a zero byte in a value": ("GP462", lambda _, head: head.replace(b"env=prod", b"env=pr\0od", 1)),
    "a zero byte at the end of a line": ("GP462", lambda _, head: head.replace(b"env=prod\n", b"env=prod\0\n", 1)),
    "carriage returns": ("GP462", lambda _, head: head.replace(b"\n", b"\r\n")),
    "a signed tab": (
        "GP462",
        lambda host, head: signed_by_hand(host, head.partition(b"\n")[2].replace(b"h1", b"h\t1")),
    ),
    "a signed zero byte": (
        "GP462",
        lambda host, head: signed_by_hand(host, head.partition(b"\n")[2].replace(b"h1", b"h1\0")),
    ),
    "more than a head": ("GP462", _long),
    "without an end": ("GP462", lambda _, head: head[:-1] + b"x" * 200_000),
    "lines without an end": ("GP462", lambda _, head: head[:-1] + b"arg.check.1=x\n" * 20_000),
    "format 1, signed": (
        "GP430",
        lambda host, head: signed_by_hand(host, head.partition(b"\n")[2].replace(b"gopub=2", b"gopub=1")),
    ),
    "a number that looks octal, signed": (
        "GP430",
        lambda host, head: signed_by_hand(host, head.partition(b"\n")[2].replace(b"n=1\n", b"n=08\n")),
    ),
    "an epoch that looks octal, signed": (
        "GP430",
        lambda host, head: signed_by_hand(host, head.partition(b"\n")[2].replace(b"epoch=3\n", b"epoch=03\n")),
    ),
    "a word of the check that has two names, signed": (
        "GP430",
        lambda host, head: signed_by_hand(host, head.partition(b"\n")[2].replace(b"n=1\n", b"n=1\narg.check.00=x\n")),
    ),
    "an unknown key, signed": (
        "GP430",
        lambda host, head: signed_by_hand(host, head.partition(b"\n")[2].replace(b"n=1\n", b"n=1\nx=1\n")),
    ),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_what_nobody_believed_signed_is_refused_and_nothing_is_changed(
    host: EnrolledHost, shell: str, case: str
) -> None:
    code, change = REFUSED[case]
    head = head_of(host)
    said = host.ask(change(host, head), shell=shell)
    assert (said.ok, said.changed, said.code) == (False, False, code), said
    assert not (host.folder / "opt/orders/.gopub/state").exists()
    assert list((host.folder / "run").iterdir()) == []
    assert host.ask(head, shell=shell).ok, "control: unchanged it is carried out"


def test_no_address_is_fetched_but_the_one_that_was_signed(host: EnrolledHost, shell: str) -> None:
    """Root's own curl, sent to where a thief of the SSH key likes: the file that it is told stands in for it here."""
    there = host.folder / "fetched"
    text = admitting_all(host).replace("command -v curl", f"touch {there}; command -v curl")
    order = stage_order(host, url="http://127.0.0.1:9/signed", archive_size="9")
    head = signed_lines(order, host.key, host.given(order))
    changed = head.replace(b"/signed", b"/stolen")
    assert host.ask(changed, shell=shell, text=text).code == "GP462"
    assert host.ask(order.lines(), shell=shell, text=text).code == "GP460"
    assert not there.exists()
    assert host.ask(head, shell=shell, text=text).code == "GP423"
    assert there.exists(), "control"


def test_a_verb_that_there_is_not(host: EnrolledHost, shell: str) -> None:
    sent = signed_by_hand(host, head_of(host).partition(b"\n")[2].replace(b"verb=prune", b"verb=exec"))
    assert b"code=GP473\nmessage='exec' is no verb of this program\n" in host.say(sent, shell=shell).stdout


def test_control_openssl_alone_holds_a_changed_order_off(host: EnrolledHost, shell: str) -> None:
    changed = head_of(host).replace(b"n=1\n", b"n=7\n", 1)
    verify = 'openssl dgst -sha256 -verify "$1" -signature "$files.sig" "$files.text"'
    assert host.ask(changed, shell=shell, text=without(host.text(), verify)).n == 7


def test_control_the_list_of_controllers_alone_holds_another_key_off(host: EnrolledHost, shell: str) -> None:
    stranger = fresh_signer()
    head = signed_lines(host.order(), order_key(stranger), host.given(host.order()))
    assert host.ask(head, shell=shell).code == "GP461"
    host.believe(stranger)
    assert host.ask(head, shell=shell).ok


def test_the_command_line_says_nothing_to_it(host: EnrolledHost, shell: str) -> None:
    ran = subprocess.run((*SHELLS[shell], str(host.program), "facts", "/etc/passwd", "/tmp/x"), input=b"gopub=1\n\n",
                         capture_output=True, check=False)  # fmt: skip
    assert Record.parse(ran.stdout.decode(), host="h1", verb="facts").code == "GP460"


def test_who_sends_nothing_and_holds_the_line_is_hung_up_on(host: EnrolledHost, shell: str) -> None:
    text = host.text()
    assert "PATIENCE=120" in text
    (host.folder / "hasty").write_text(text.replace("PATIENCE=120", "PATIENCE=0.3"))
    waiting = subprocess.Popen(
        (*SHELLS[shell], str(host.folder / "hasty")), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert waiting.stdin and waiting.stdout
    try:
        said = Record.parse(waiting.stdout.read().decode(), host="h1", verb="facts")
    finally:
        waiting.stdin.close()
        waiting.wait()
        waiting.stdout.close()
    assert (said.code, said.message) == ("GP462", "neither 65536 bytes nor an end came within 0.3s")
    assert list((host.folder / "run").iterdir()) == []


def test_what_a_killed_order_left_goes_with_the_next_prune(host: EnrolledHost, shell: str) -> None:
    (host.folder / "run").mkdir()
    for name in ("list.abc", "order.2.root"):
        (host.folder / "run" / name).mkdir()
        (host.folder / "run" / name / "in").write_text("x")
    (host.folder / "run/order.1.in").write_text("x")
    for name in ("order.1.in", "list.abc"):
        os.utime(host.folder / "run" / name, (0, 0))
    assert host.obey(host.order(), shell=shell).ok
    assert [path.name for path in (host.folder / "run").iterdir()] == ["order.2.root"], "one may be under way"


def test_what_was_left_under_the_number_of_this_process_is_in_nobody_s_way(host: EnrolledHost, shell: str) -> None:
    text = host.text().replace("inbox=$RUN/order.$$", "inbox=$RUN/order.7")
    (host.folder / "run/order.7.root").mkdir(parents=True)
    (host.folder / "run/order.7.in").write_text("of before")
    assert host.ask(signed_lines(host.order(), host.key, host.given(host.order())), shell=shell, text=text).ok
    assert list((host.folder / "run").iterdir()) == []
