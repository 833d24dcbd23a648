"""Signed route tables on a real nginx: what is believed, what is refused, and that the table in force serves on."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gopub.evidence.keys import KeySigner
from gopub.process import run
from gopub.traffic import Peer, RouteTable, Track, encode
from gopub.traffic.backends.nginx import NginxRouter
from gopub.traffic.backends.nginx.install import look_at_files
from gopub.traffic.door import KeysLaid
from gopub.traffic.signed import DOMAIN, HEADER, EdgeSigning, TableKey
from tests.contracts.edge_nginx import Answer, Backend, LocalEdge, route_table, running_edge
from tests.contracts.tls_server import Authority
from tests.support.ports import free_port

TABLE = "/v1/tables/hello"
CURVE = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of P-256."""


def table_key() -> TableKey:
    """A fresh key."""
    signer = KeySigner(ec.generate_private_key(ec.SECP256R1()))
    return TableKey(signer.public.fingerprint, signer.public.pem, signer.sign)


def keys_folder(edge: LocalEdge) -> Path:
    return edge.root / "gopub" / "keys"


def lay(edge: LocalEdge, *keys: TableKey) -> None:
    """Exactly these keys lie on the edge; it reads them at its next start or reload."""
    folder = keys_folder(edge)
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for key in keys:
        (folder / f"{key.fingerprint}.pem").write_bytes(key.pem)


async def put(edge: LocalEdge, body: bytes, *signatures: str, path: str = TABLE) -> Answer:
    return await edge.ask_control("PUT", path, body, *(f"{HEADER}: {one}" for one in signatures))


async def put_signed(edge: LocalEdge, table: RouteTable, key: TableKey) -> Answer:
    body = encode(table)
    return await put(edge, body, key.header(body))


async def status(edge: LocalEdge) -> dict[str, object]:
    found: dict[str, object] = json.loads((await edge.control("GET", "/v1/status"))[1])
    return found


async def signer(edge: LocalEdge) -> tuple[str | None, bool]:
    """Whose the table of hello is, and whether that counts here."""
    told = (await status(edge))["upstreams"]["hello"]["signature"]
    return told["key"], told["believed"]


@pytest.fixture
def key() -> TableKey:
    return table_key()


@pytest.fixture
async def keyed(edge: LocalEdge, key: TableKey) -> LocalEdge:
    """An edge that believes this key."""
    lay(edge, key)
    await edge.reload()
    return edge


@pytest.fixture
def table(backends: list[Backend]) -> RouteTable:
    return route_table(backends[:1], revision=10, epoch=5, token="seat", n=20)


def large(table: RouteTable) -> RouteTable:
    """About 27 KB, with peers that get nothing before a canary's weight grows."""
    more = tuple(Peer(f"host-{at:03}.example.org", f"10.9.{at % 250}.{at // 250}:80") for at in range(480))
    return replace(table, canary=Track("b" * 64, more))


async def test_a_signed_table_is_taken_given_back_and_outlives_a_restart(keyed, key, table):
    body = encode(large(table))
    assert 27_000 < len(body) < 32_000
    signature = key.header(body)
    answer = await put(keyed, body, signature)
    assert answer.status == 200, answer
    told = json.loads(answer.body)["signature"]
    assert (told["key"], told["believed"]) == (key.fingerprint, True)
    await keyed.restart(signal.SIGKILL)
    back = await keyed.ask_control("GET", TABLE)
    assert (back.body, back.headers[HEADER.lower()]) == (body, signature)
    assert await signer(keyed) == (key.fingerprint, True)
    assert (await keyed.client().ask()).peer == "a1"
    again = await put(keyed, back.body, back.headers[HEADER.lower()])
    assert again.status == 200, "what an edge gives back can be put"


async def test_what_is_signed_is_what_openssl_verifies(keyed, key, table, tmp_path):
    """A stranger needs the bytes, the header and the key."""
    await put_signed(keyed, table, key)
    back = await keyed.ask_control("GET", TABLE)
    name, _, text = back.headers[HEADER.lower()].partition(":")
    (tmp_path / "body").write_bytes(DOMAIN + back.body)
    (tmp_path / "der").write_bytes(base64.b64decode(text))
    command = ["openssl", "dgst", "-sha256", "-verify", str(keys_folder(keyed) / f"{name}.pem"),
               "-signature", str(tmp_path / "der"), str(tmp_path / "body")]  # fmt: skip
    assert (await run(command)).out == b"Verified OK\n"


def flipped(text: bytes, at: int) -> bytes:
    return text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]


def tampered(key: TableKey, body: bytes) -> Iterator[tuple[str, str, bytes, list[str]]]:
    """Name, reason, body and signatures of what must be refused."""
    good = key.header(body)
    name, _, text = good.partition(":")
    der = base64.b64decode(text)
    other = table_key()

    def der_as(value: bytes) -> list[str]:
        return [f"{name}:{base64.b64encode(value).decode()}"]

    for at in (0, 1, len(body) // 2, len(body) - 1):
        yield f"bit {at} of the body", "wrong", flipped(body, at), [good]
    for at in (0, 1, 4, len(der) // 2, len(der) - 1):
        yield f"bit {at} of the signature", "wrong", body, der_as(flipped(der, at))
    yield "a longer body", "wrong", body + b"\n", [good]
    yield "a shorter body", "wrong", body[:-1], [good]
    yield "no body", "wrong", b"", [good]
    yield "the signature of an empty table", "wrong", body, [key.header(b"")]
    yield "a body that is no table", "missing", b"{", []
    yield "unsigned", "missing", body, []
    yield "empty", "missing", body, [""]
    yield "another key's", "unknown-key", body, [other.header(body)]
    yield "another key's under this name", "wrong", body, [f"{name}:{other.header(body).partition(':')[2]}"]
    yield "truncated", "wrong", body, der_as(der[:-1])
    yield "bytes after it", "wrong", body, der_as(der + b"\0")
    yield "in BER", "wrong", body, der_as(b"\x30\x81" + der[1:])
    yield "r and s of zero", "wrong", body, der_as(utils.encode_dss_signature(0, 0))
    r, s = utils.decode_dss_signature(der)
    yield "s above the order", "wrong", body, der_as(utils.encode_dss_signature(r, s + CURVE))
    yield "without the line before", "wrong", body, der_as(key.sign(body))
    yield "of another line", "wrong", body, der_as(key.sign(b"gopub-table-v2\n" + body))
    yield "raw r and s", "wrong", body, der_as(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    yield "two of them", "malformed", body, [good, good]
    yield "a list", "malformed", body, [f"{good}, {good}"]
    yield "no key", "malformed", body, [text]
    yield "a key in capitals", "malformed", body, [good.upper()]
    yield "a short name of the key", "malformed", body, [f"{name[:16]}:{text}"]
    yield "no Base64", "malformed", body, [f"{name}:*{text[1:]}"]
    yield "Base64 of URLs", "malformed", body, [f"{name}:{'-_' + text[2:]}"]
    yield "Base64 without its end", "malformed", body, [f"{name}:{text[:-1]}"]
    yield "Base64 with a blank", "malformed", body, [f"{name}: {text}"]
    yield "nothing after the key", "malformed", body, [f"{name}:"]
    yield "7 KB", "malformed", body, [f"{name}:{'A' * 7000}"]
    yield "a path for a key", "malformed", body, [f"../{name}:{text}"]
    yield "a key of 65 digits", "malformed", body, [f"{name}0:{text}"]
    yield "UTF-8", "malformed", body, ["é" * 80]


async def test_forty_tamperings_are_refused_and_the_table_in_force_serves(keyed, key, table):
    body = encode(table)
    assert (await put(keyed, body, key.header(body))).status == 200
    newer = encode(replace(table, revision=11, n=21))
    cases = list(tampered(key, newer))
    assert len(cases) >= 40
    counted: dict[str, int] = {}
    for name, reason, bytes_put, signatures in cases:
        answer = await put(keyed, bytes_put, *signatures)
        assert (answer.status, json.loads(answer.body)["code"]) == (403, "GP520"), (name, answer)
        told = (await status(keyed))["upstreams"]["hello"]["refused"]
        assert (told["code"], told["reason"]) == ("GP520", json.loads(answer.body)["error"]), name
        counted[reason] = counted.get(reason, 0) + 1
        found = await keyed.metrics()
        assert {one: found[f'gopub_edge_unsigned_total{{reason="{one}"}}'] for one in counted} == counted, name
    assert (await keyed.ask_control("GET", TABLE)).body == body
    assert (keyed.state / "hello.json").read_bytes() == body
    assert (await keyed.client().ask()).peer == "a1"
    assert (await put(keyed, newer, key.header(newer))).status == 200, "control: the right one of the same bytes"


async def test_a_header_that_is_too_large_changes_nothing(keyed, key, table):
    """It is answered before any Lua."""
    await put_signed(keyed, table, key)
    answer = await put(keyed, encode(replace(table, revision=11, n=21)), f"{key.fingerprint}:{'A' * 40_000}")
    assert answer.status == 400
    assert (await status(keyed))["upstreams"]["hello"]["table"]["revision"] == 10


async def test_the_other_form_of_a_signature_changes_nothing(keyed, key, table):
    """Who has (r, s) can make (r, n - s): it is as good, of the same bytes, and the one that is there stays."""
    body = encode(table)
    signature = key.header(body)
    r, s = utils.decode_dss_signature(base64.b64decode(signature.partition(":")[2]))
    twin = base64.b64encode(utils.encode_dss_signature(r, CURVE - s)).decode()
    assert (await put(keyed, body, signature)).status == 200
    assert (await put(keyed, body, f"{key.fingerprint}:{twin}")).status == 200
    assert (await keyed.ask_control("GET", TABLE)).headers[HEADER.lower()] == signature


async def test_an_edge_without_a_key_is_as_it_was_and_keeps_what_it_was_given(edge, key, table):
    assert (await edge.put(table))[0] == 200
    assert await signer(edge) == (None, False)
    assert HEADER.lower() not in (await edge.ask_control("GET", TABLE)).headers
    newer = replace(table, revision=11, n=21)
    assert (await put_signed(edge, newer, key)).status == 200
    assert await signer(edge) == (key.fingerprint, False)
    lay(edge, key)
    await edge.reload()
    assert await signer(edge) == (key.fingerprint, True)
    await edge.restart()
    assert await signer(edge) == (key.fingerprint, True)
    lay(edge)
    await edge.restart()
    assert (await edge.put(replace(table, revision=12, n=22)))[0] == 200
    assert await signer(edge) == (None, False)
    assert [path.name for path in edge.state.iterdir()] == ["hello.json"], "no signature of another table"


async def test_a_table_of_another_upstream_app_or_env_is_refused_whoever_signed_it(keyed, key, table):
    await put_signed(keyed, table, key)
    body = encode(replace(table, revision=11, n=21))
    answer = await put(keyed, body, key.header(body), path="/v1/tables/other")
    assert (answer.status, json.loads(answer.body)["error"]) == (422, 'the table is for upstream "hello"')
    for change in ({"env": "prod"}, {"app": "shop"}):
        answer = await put_signed(keyed, replace(table, revision=99, epoch=9, **change), key)
        assert (answer.status, json.loads(answer.body)["code"]) == (409, "GP503")


async def test_an_old_table_is_refused_although_its_signature_is_right(keyed, key, table):
    old = encode(table)
    signature = key.header(old)
    assert (await put(keyed, old, signature)).status == 200
    assert (await put_signed(keyed, replace(table, revision=11, n=21), key)).status == 200
    answer = await put(keyed, old, signature)
    assert (answer.status, json.loads(answer.body)["error"]) == (409, "the order is not newer")
    await keyed.restart()
    assert (await put(keyed, old, signature)).status == 409


async def test_a_table_that_somebody_changed_on_the_disk_is_not_used(keyed, key, table):
    await put_signed(keyed, table, key)
    other = replace(table, app="shop", upstream="shop")
    body = encode(other)
    assert (await put(keyed, body, key.header(body), path="/v1/tables/shop")).status == 200
    await keyed.stop()
    path = keyed.state / "shop.json"
    path.write_bytes(encode(replace(other, warmup=7)))
    await keyed.start()
    assert list((await status(keyed))["upstreams"]) == ["hello"]
    assert "shop.json is not used: the table is not signed" in keyed.log()
    found = await keyed.metrics()
    assert (found["gopub_edge_bad_files"], found['gopub_edge_unsigned_total{reason="missing"}']) == (1, 1)
    assert (await keyed.client().ask()).peer == "a1"
    path.write_bytes(body)
    await keyed.restart()
    assert list((await status(keyed))["upstreams"]) == ["hello"], "the signature of no table was swept"


async def test_a_signature_that_somebody_changed_on_the_disk_does_not_count(keyed, key, table):
    await put_signed(keyed, table, key)
    await keyed.stop()
    [beside] = keyed.state.glob(".hello.json.*.sig")
    beside.write_text(table_key().header(encode(table)))
    await keyed.start()
    assert "hello" not in (await status(keyed))["upstreams"]
    assert "hello.json is not used: key " in keyed.log()
    assert (await put_signed(keyed, table, key)).status == 200, "and the controller puts it again"
    assert (await keyed.client().ask()).peer == "a1"


@pytest.mark.parametrize("newer", [False, True])
async def test_a_put_that_is_cut_off_leaves_a_table_and_its_own_signature(keyed, key, table, newer):
    """The next table's signature is there before the table is; after it, that of the one before still is."""
    first, following = encode(table), encode(replace(table, revision=11, n=21))
    assert (await put(keyed, first, key.header(first))).status == 200
    [old] = keyed.state.glob(".hello.json.*.sig")
    kept = old.read_text()
    await keyed.stop()
    await keyed.start()
    assert (await put(keyed, following, key.header(following))).status == 200
    await keyed.stop()
    old.write_text(kept)
    assert len(list(keyed.state.glob(".hello.json.*.sig"))) == 2
    (keyed.state / "hello.json").write_bytes(following if newer else first)
    await keyed.start()
    assert (await status(keyed))["upstreams"]["hello"]["table"]["revision"] == (11 if newer else 10)
    assert await signer(keyed) == (key.fingerprint, True)
    assert len(list(keyed.state.glob(".hello.json.*.sig"))) == 1, "the other one is swept"


def unusable(key: TableKey) -> Iterator[tuple[str, bytes, str]]:
    """Name of the file, what lies in it, and what is said."""
    private = ec.generate_private_key(ec.SECP256R1())
    own = private.public_key()
    name = f"{key.fingerprint}.pem"
    pkcs8 = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    other = own.public_bytes(*pem)
    one = "it is not one public key in PEM and nothing else"
    yield name, b"", "empty"
    yield name, b"\n", one
    yield name, b"garbage", one
    yield name, pkcs8, one
    yield name, key.pem + pkcs8, one
    yield name, key.pem + other, one
    yield name, key.pem[:-40], one
    yield name, key.pem.replace(b"M", b"N", 1), "it is not a public key in PEM"
    yield name, key.pem * 40, one
    yield name, other, "it holds key "
    larger = ec.generate_private_key(ec.SECP384R1()).public_key()
    yield name, larger.public_bytes(*pem), "it is no ECDSA key on P-256"
    yield "table.pem", key.pem, f"it holds key {key.fingerprint}: call it "
    for misnamed in (f"{key.fingerprint}.PEM", "table.pub", f"{key.fingerprint}.pem.old"):
        yield misnamed, key.pem, "a key's file is called FINGERPRINT.pem"


async def test_a_key_file_that_cannot_be_used_opens_no_door(edge, key, table):
    assert (await edge.put(table))[0] == 200
    rsa = await run(["openssl", "genrsa", "2048"])
    public = await run(["openssl", "rsa", "-pubout"], stdin=rsa.out)
    cases = [*unusable(key), (f"{key.fingerprint}.pem", public.out, "it is no ECDSA key on P-256")]
    newer = replace(table, revision=11, n=21)
    for name, content, said in cases:
        lay(edge)
        (keys_folder(edge) / name).write_bytes(content)
        await edge.reload()
        assert (await edge.put(newer))[0] == 403, (name, content)
        assert (await put_signed(edge, newer, key)).status == 403, (name, content)
        told = (await status(edge))["keys"]
        assert (told["believed"], list(told["broken"])) == ([], [name])
        assert said in told["broken"][name], content
        assert f"gopub: the key {name} is not used, and nothing unsigned is taken: {told['broken'][name]}" in edge.log()
        assert (await edge.client(keep=False).ask()).peer == "a1"
    lay(edge, key)
    (keys_folder(edge) / "README").write_text("no key\n")
    await edge.reload()
    assert (await put_signed(edge, newer, key)).status == 200, "control: the right file"
    found = await edge.metrics()
    assert [found[f'gopub_edge_table_keys{{state="{one}"}}'] for one in ("usable", "broken")] == [1, 0]


async def test_keys_that_cannot_be_listed_open_no_door(edge, table):
    keys_folder(edge).write_text("no folder")
    await edge.restart()
    assert (await edge.put(table))[0] == 403
    assert "Not a directory" in (await status(edge))["keys"]["broken"][str(keys_folder(edge))]
    keys_folder(edge).unlink()
    await edge.restart()
    assert (await edge.put(table))[0] == 200, "control: there is none"


async def test_a_key_that_is_taken_off_while_its_table_stands(keyed, key, table):
    await put_signed(keyed, table, key)
    other = table_key()
    lay(keyed, other)
    await keyed.reload()
    assert (await keyed.client().ask()).peer == "a1"
    assert await signer(keyed) == (key.fingerprint, False)
    assert "the table of hello serves on, and the next start will not use it: key " in keyed.log()
    answer = await put_signed(keyed, replace(table, revision=11, n=21), key)
    assert (answer.status, "is not among those" in answer.body.decode()) == (403, True)
    assert (await put_signed(keyed, table, other)).status == 200, "the same table, signed anew"
    assert await signer(keyed) == (other.fingerprint, True)
    await keyed.restart()
    assert (await keyed.client().ask()).peer == "a1"
    assert await signer(keyed) == (other.fingerprint, True)
    lay(keyed, key)
    await keyed.restart()
    assert (await keyed.client().ask()).status == 503, "control: what nobody believes is not used after a start"


async def test_keys_change_under_load_and_nothing_is_lost(keyed, key, table):
    await put_signed(keyed, table, key)
    done, seen = asyncio.Event(), []

    async def drive() -> None:
        while not done.is_set():
            seen.append((await keyed.client(keep=False).ask()).status)

    async def more() -> None:
        least = len(seen) + 20
        while len(seen) < least:  # noqa: ASYNC110 - clients count
            await asyncio.sleep(0.005)

    clients = [asyncio.create_task(drive()) for _ in range(4)]
    following = table_key()
    for revision, laid, signing in (
        (11, (key, following), key),
        (12, (key, following), following),
        (13, (following,), following),
    ):
        lay(keyed, *laid)
        await keyed.reload()
        answer = await put_signed(keyed, replace(table, revision=revision, n=10 + revision), signing)
        assert answer.status == 200, answer
        await more()
    assert (await put_signed(keyed, replace(table, revision=14, n=24), key)).status == 403
    done.set()
    await asyncio.gather(*clients)
    assert set(seen) == {200}
    assert await signer(keyed) == (following.fingerprint, True)


# As gopub itself does it ---------------------------------------------------------------------------------------------


def driver(edge: LocalEdge, key: TableKey | None = None) -> NginxRouter:
    """The driver's side, with this key."""

    async def connect(name: str) -> LocalEdge:
        del name
        return edge

    opening = None if key is None else lambda: key
    return NginxRouter(("e1",), connect, socket=str(edge.socket), limit=300, key=opening)


async def install(edge: LocalEdge, *keys: TableKey, off: tuple[TableKey, ...] = ()) -> None:
    """What `gopub route install` does with this edge."""

    async def connect(name: str) -> LocalEdge:
        del name
        return edge

    laid = KeysLaid(tuple((one.fingerprint, one.pem) for one in keys), tuple(one.fingerprint for one in off))
    nginx = ("sh", "-c", f'exec nginx -c {edge.root}/nginx.conf "$@"', "nginx")
    before = edge.workers()
    [found] = await look_at_files(("e1",), connect, install=True, layout=edge.layout, nginx=nginx, laid=laid)
    assert found.fine, found
    assert not [one for one in before if takes_requests(one)], "who is answered now is answered by the new files"


def takes_requests(worker: int) -> bool:
    """Whether a worker is there and is not about to end, by its title."""
    try:
        title = Path(f"/proc/{worker}/cmdline").read_bytes()
    except FileNotFoundError:
        return False
    return b"worker process" in title and b"shutting down" not in title


async def shown(edge: LocalEdge) -> EdgeSigning:
    [found] = await driver(edge).status("hello", "lab", "hello")
    assert found.signing, found
    return found.signing


async def test_signing_begins_changes_its_key_and_ends_while_a_table_stands(edge, backends):
    """The whole way of the guide: sign first, then lay the key; the next one beside it; then the old one off."""
    table = route_table(backends[:1], revision=10, epoch=5, token="seat", n=20)
    first, following = table_key(), table_key()
    assert (await driver(edge).put(table))[0].ok
    assert (await shown(edge)).lost([first.fingerprint], ()) == ["hello"], "gopub route install refuses: GP527"
    assert (await driver(edge, first).put(table))[0].ok
    assert (await shown(edge)).lost([first.fingerprint], ()) == []
    (keys_folder(edge)).mkdir()
    (keys_folder(edge) / "notes.txt").write_text("of somebody else\n")
    await install(edge, first)
    found = await shown(edge)
    assert (found.key, found.believed, found.keys) == (first.fingerprint, True, (first.fingerprint,))
    [ack] = await driver(edge).put(replace(table, revision=11, n=21))
    assert (ack.ok, ack.error) == (False, "GP520 the table is not signed (status 403)")
    assert (await shown(edge)).refused.reason == "the table is not signed"
    await install(edge, first, following)
    assert (await driver(edge, following).put(table))[0].ok
    assert (await shown(edge)).lost((), [first.fingerprint]) == []
    await install(edge, following, off=(first,))
    found = await shown(edge)
    assert (found.key, found.believed, found.keys) == (following.fingerprint, True, (following.fingerprint,))
    assert sorted(path.name for path in keys_folder(edge).iterdir()) == [f"{following.fingerprint}.pem", "notes.txt"]
    await edge.restart()
    assert (await edge.client().ask()).peer == "a1"
    await install(edge, off=(following,))
    assert (await driver(edge).put(replace(table, revision=12, n=22)))[0].ok, "with no key left nothing is asked for"


CLEARING = "C.gopub_clear_errors()"


@pytest.fixture
async def with_tls(tmp_path: Path, key: TableKey) -> AsyncIterator[LocalEdge]:
    """One worker that speaks TLS as well."""
    port = free_port()
    certificate, private = Authority.new(tmp_path).sign("127.0.0.1")
    block = f"""server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {private};
        location / {{ return 204; }} }}"""
    async with running_edge(tmp_path, extra=block, workers=1) as edge:
        lay(edge, key)
        yield edge


def tls_port(edge: LocalEdge) -> int:
    text = (edge.root / "nginx.conf").read_text()
    return int(text.partition(" ssl;")[0].rpartition(":")[2])


async def shake(edge: LocalEdge) -> str:
    """One request by TLS; the first line of the answer."""
    context = ssl.create_default_context(cafile=str(edge.root / "ca.pem"))
    reader, writer = await asyncio.open_connection("127.0.0.1", tls_port(edge), ssl=context)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    said = await reader.read()
    writer.close()
    return said.decode().partition("\r\n")[0]


@pytest.mark.parametrize("clears", [True, False], ids=["ours", "control"])
async def test_the_tls_of_the_same_worker_hears_nothing_of_bad_signatures(with_tls, key, table, clears):
    if not clears:
        path = with_tls.root / "gopub" / "lua" / "gopub" / "signature.lua"
        path.write_text(path.read_text().replace(CLEARING, ""))
    await with_tls.reload()
    body = encode(table)
    broken = f"{key.fingerprint}:{base64.b64encode(utils.encode_dss_signature(0, 0)).decode()}"
    for _ in range(100):
        assert (await put(with_tls, body, broken)).status == 403
    assert await shake(with_tls) == "HTTP/1.1 204 No Content"
    assert ("ignoring stale global SSL error" in with_tls.log()) is not clears
    assert (await put(with_tls, body, key.header(body))).status == 200
