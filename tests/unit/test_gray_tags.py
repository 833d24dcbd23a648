"""Tags of gray traffic in Python services: the same vectors as the Go module, and contexts that never cross."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import zipfile
from typing import Any

import httpx
import pytest

from gopub.process import run
from gopub_gray import Allow, MalformedError, carrying, current, incoming, outgoing, outside, parse
from gopub_gray.asgi import GrayMiddleware
from gopub_gray.client import AsyncGrayTransport, GrayTransport, attach
from tests.unit.traffic_lua import ROOT

VECTORS = ROOT / "go/gray/testdata"
LISTS = json.loads((VECTORS / "tags.json").read_text())
BAGGAGE = json.loads((VECTORS / "baggage.json").read_text())
HOSTS = json.loads((VECTORS / "hosts.json").read_text())


def plain(line: str | list[Any]) -> str:
    return line if isinstance(line, str) else line[0] * line[1] + line[2]


def test_lists_are_read_as_in_every_language():
    for case in LISTS:
        if case["tags"] is None:
            with pytest.raises(MalformedError):
                parse(*case["lines"])
        else:
            assert list(parse(*case["lines"])) == case["tags"], case
    assert len(LISTS) > 20


def test_baggage_is_read_and_written_as_in_every_language():
    for case in BAGGAGE["incoming"]:
        found = incoming([plain(line) for line in case["header"]], [plain(line) for line in case["baggage"]])
        assert ",".join(found) == case["tags"], case
    for case in BAGGAGE["outside"]:
        assert outside([plain(line) for line in case["baggage"]]) == plain(case["line"]), case
    for case in BAGGAGE["outgoing"]:
        found = outgoing([plain(line) for line in case["baggage"]], parse(case["tags"]))
        assert found == (case["tags"], plain(case["line"])), case


def test_hosts_are_of_the_house_as_in_every_language():
    allow = Allow(*HOSTS["hosts"])
    assert [host for host in HOSTS["inside"] if host not in allow] == []
    assert [host for host in HOSTS["outside"] if host in allow] == []
    assert "a.corp" not in Allow()
    for bad in HOSTS["none"]:
        with pytest.raises(ValueError, match="is no host of a house"):
            Allow(bad)


async def test_its_wheel_needs_nothing_else(tmp_path):
    """Neither gopub nor any other package, where it alone is to be had."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    await run([*build, str(ROOT / "python/gray")], cwd=tmp_path, timeout=120)
    (wheel,) = tmp_path.glob("gopub_gray-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    needs = (next(tmp_path.glob("*.dist-info")) / "METADATA").read_text().split("\n\n")[0]
    assert [line for line in needs.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line] == []
    assert (tmp_path / "gopub_gray/py.typed").is_file()
    words = "import sys, gopub_gray.asgi; print(sorted({'gopub', 'httpx', 'grpc'} & sys.modules.keys()))"
    done = await run([sys.executable, "-c", words], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, timeout=60)
    assert done.text == "[]"


# ASGI and httpx -----------------------------------------------------------------------------------------------------


async def served(app: Any, *headers: tuple[str, str], kind: str = "http") -> dict[str, Any]:
    """Hand one request to an app behind the middleware; what it saw of the scope."""
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope: dict[str, Any] = {"type": kind, "headers": sent}
    await GrayMiddleware(app)(scope, None, None)  # type: ignore[arg-type]
    return scope


def told(request: httpx.Request) -> httpx.Response:
    """An outside that says what it was told."""
    lines = {name: request.headers.get_list(name) for name in ("x-gray-tag", "x-gray-rule", "baggage")}
    if request.url.path == "/leave":
        return httpx.Response(302, headers={"location": "http://partner.example/"})
    return httpx.Response(200, json=lines)


def told_of(answer: httpx.Response) -> tuple[str, str]:
    lines = answer.json()
    return "|".join([*lines["x-gray-tag"], *lines["x-gray-rule"]]), "|".join(lines["baggage"])


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_tags_go_on_from_a_request_to_the_house(kind: str):
    said = []

    async def app(scope, receive, send):
        async with attach(httpx.AsyncClient(transport=httpx.MockTransport(told)), "*.corp") as client:
            byhand = {"baggage": "b=2;p,gray.tags=old,gray.rule=r@7", "x-gray-tag": "old", "X-Gray-Rule": "r@7"}
            said.append(told_of(await client.get("http://stock.corp:8080/", headers=byhand)))
            said.append(told_of(await client.get("http://partner.example/", headers=byhand)))
            said.append(told_of(await client.get("http://stock.corp/leave", follow_redirects=True)))

    scope = await served(
        app, ("X-Gray-Tag", "b"), ("x-gray-tag", "a"), ("baggage", "k=1,gray.tags=a,gray.rule=r"), kind=kind
    )
    assert said == [("a,b|r@7", "b=2;p,gray.rule=r@7,gray.tags=a%2Cb"), ("", "b=2;p"), ("", "")]
    assert current() == ()
    assert (b"baggage", b"k=1") in scope["headers"], "a library for tracing would send our member to everybody"


def test_a_transport_has_the_last_word_after_all_hooks():
    def late(request: httpx.Request) -> None:
        request.headers["baggage"] = "trace=1,gray.tags=x"

    with carrying(("x",)):
        for transport, line in (
            (GrayTransport(httpx.MockTransport(told), "*.corp"), "trace=1"),
            (httpx.MockTransport(told), "trace=1,gray.tags=x"),  # control
        ):
            with attach(httpx.Client(transport=transport), "*.corp") as client:
                client.event_hooks["request"].append(late)
                client.event_hooks = {"request": [*client.event_hooks["request"], late]}
                assert told_of(client.get("http://partner.example/"))[1] == line


async def test_other_hooks_stay():
    seen = []

    async def mine(request):
        seen.append(request.url.host)

    transport = AsyncGrayTransport(httpx.MockTransport(told), "*.corp")
    async with attach(httpx.AsyncClient(transport=transport, event_hooks={"request": [mine]}), "*.corp") as client:
        await client.get("http://a.corp/")
    assert seen == ["a.corp"]


HOSTILE = (
    "a\x00", "a\r\nx: 1", "\xff\xfe", "x" * 8192, ",".join(["a"] * 1000), "a b", "-a", "a;b", "," * 5000,
    "%zz", "=", ";",
)  # fmt: skip


@pytest.mark.parametrize("line", HOSTILE)
async def test_hostile_headers_change_nothing(line: str):
    found = []

    async def app(scope, receive, send):
        found.append(current())

    await served(app, ("x-gray-tag", line))
    await served(app, ("x-gray-tag", "a"), ("x-gray-tag", line + "!"))
    await served(app, ("baggage", line), ("baggage", "gray.tags=!" + line))
    await served(app, ("x-gray-tag", "a"))
    assert found == [(), (), (), ("a",)]


async def test_what_belongs_to_no_request_passes():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    await GrayMiddleware(app)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == [{"type": "lifespan"}]


async def test_tasks_carry_the_context_of_their_begin_and_threads_none():
    """What Python does: a task copies the context, also where it outlives the request; a bare thread has its own."""
    later, seen = asyncio.Event(), []

    async def afterwards():
        await later.wait()
        return current()

    async def app(scope, receive, send):
        seen.append(asyncio.create_task(afterwards()))
        seen.append(await asyncio.to_thread(current))
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()

    await served(app, ("x-gray-tag", "a"))
    later.set()
    assert (await seen[0], seen[1], seen[2], current()) == (("a",), ("a",), (), ())


async def crossed(all_of_them: int, remember, recall) -> int:
    """How many of so many requests at once, of which each waits for the others, send another's tag on."""
    everybody, wrong = asyncio.Barrier(all_of_them), []
    client = attach(httpx.AsyncClient(transport=httpx.MockTransport(told)), "*.corp")

    async def app(scope, receive, send):
        remember()
        await everybody.wait()
        with carrying(recall()):
            said, _ = told_of(await client.get("http://a.corp/"))
        if said != scope["tag"]:
            wrong.append(said)

    async def one(tag: str):
        scope = {"type": "http", "headers": [(b"x-gray-tag", tag.encode())], "tag": tag}
        await GrayMiddleware(app)(scope, None, None)  # type: ignore[arg-type]

    async with client:
        await asyncio.gather(*(one(f"t{n}") for n in range(all_of_them)))
    return len(wrong)


async def test_ten_thousand_requests_at_once_never_cross():
    assert await crossed(10_000, lambda: None, current) == 0


async def test_control_in_a_variable_they_would_cross():
    kept = [()]

    def remember():
        kept[0] = current()

    assert await crossed(100, remember, lambda: kept[0]) == 99
