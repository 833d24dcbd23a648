"""Who answers a form in Prefect's page: the login that the proxy before it names, sealed into the answer.

No header of a proxy reaches a flow, and everybody who reaches Prefect's API can write any name into an answer. So this
stands around Prefect's application, in its server: where a form of ours is answered through the proxy, the answer is
given on with a seal that only the server can make (`gopub.usecases.seal`). Who presses Cancel, Suspend, Resume or
Retry, or starts a run, is written beside it as a label under the same key (`gopub.usecases.pressing`). What else people
do through the proxy is vouched for by nobody, and goes through where it cannot reach that key (`deployments.reach`).
What comes past the proxy goes through as it came.

The header is believed from the proxy alone: it comes from the proxy's address and shows the proxy's secret. What
clients send under its name is taken away.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx

from deployments import presses, reach
from gopub.canon import Json, JsonError, read_json
from gopub.clock import Clock, SystemClock, new_token
from gopub.errors import GopubError
from gopub.spec.people import SECRET_HEADER, People, Proxy, Who
from gopub.telemetry import log
from gopub.usecases.pressing import START, Button, Pressed, label
from gopub.usecases.seal import FIELD, Sealed, answer_digest, seal
from gopub.wiring.people import house, strong

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

TAG = "gopub-approval"
"""What marks the runs that are forms of ours."""
_RESUME = re.compile(r"(?P<runs>.*/flow_runs/(?P<run>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}))/resume/?")
_LARGEST = 65536
_LONGEST = 200
_PATIENCE, _TRIES, _PAUSE = 10.0, 5, 0.25
"""For what is written beside a pressed button, in seconds: SQLite turns away one of two that write, and all who come
while a long write lasts. So each pause is twice as long as the one before."""
_POLICY = 1008
"""A websocket is closed for what is asked of it (RFC 6455)."""
_log = log("logins")


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose word on logins counts: the proxy's header, its addresses, what it shows, and the key of the seal."""

    header: str
    peers: tuple[str, ...]
    secret: str = field(repr=False)
    key: str = field(repr=False)

    @classmethod
    def of(cls, proxy: Proxy) -> Trust:
        """That of people.yaml.

        Raises:
            UsageError: GP142 a secret cannot be had, GP990 it is short.
        """
        return cls(proxy.header, proxy.peers, strong(proxy.secret), strong(proxy.seal))

    def is_peer(self, scope: Scope) -> bool:
        """Whether the connection comes from the proxy's address."""
        try:
            address = ipaddress.ip_address((scope.get("client") or ("",))[0])
        except ValueError:
            return False
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in ipaddress.ip_network(one) for one in self.peers)


class Ambiguous(Exception):  # noqa: N818 - it is no error of ours
    """The proxy's request does not say plainly who is logged in."""


def login_of(scope: Scope, trust: Trust) -> str:
    """The login that the proxy names; empty where it names none, or the request is not the proxy's.

    Raises:
        Ambiguous: it is the proxy's, and names several, or none that can be one.
    """
    shown = [value for name, value in scope["headers"] if name.lower() == SECRET_HEADER.lower().encode()]
    if not trust.is_peer(scope) or len(shown) != 1 or not hmac.compare_digest(shown[0], trust.secret.encode()):
        return ""
    named = [(name, value) for name, value in scope["headers"] if _is_like(name, trust.header)]
    if not named:
        return ""
    if len(named) != 1 or named[0][0].lower() != trust.header.lower().encode():
        raise Ambiguous(f"{trust.header} stands {len(named)} times, or in another spelling")
    try:
        login = bytes(named[0][1]).decode("utf-8").strip(" \t")
    except UnicodeDecodeError:
        raise Ambiguous(f"{trust.header} is not UTF-8") from None
    if len(login) > _LONGEST or not login.isprintable() or any(char.isspace() or char == "," for char in login):
        raise Ambiguous(f"{trust.header} is no login")
    return login


def _is_like(name: bytes, header: str) -> bool:
    """Whether a program behind could take one for the other: X_Forwarded_User for X-Forwarded-User."""
    return name.lower().replace(b"_", b"-") == header.lower().replace("_", "-").encode()


class Logins:
    """The application, with a seal under the answers that come through the proxy."""

    def __init__(
        self, app: App, trust: Trust, clock: Clock | None = None, people: Callable[[], People | None] = house
    ) -> None:
        """Stand around ``app``; ``people`` says anew each time who operates the engine."""
        self._app, self._trust, self._clock, self._people = app, trust, clock or SystemClock(), people

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give a request on, without what only the proxy may say."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        given = scope["headers"]
        within = {**scope, "headers": list(self._without(given))}
        through = any(_is_like(name, SECRET_HEADER) for name, _ in given)  # a worker sends none, whatever it holds
        if scope["type"] == "websocket":
            if through and (not reach.may_listen(scope["path"]) or _from_elsewhere(given)):
                await send({"type": "websocket.close", "code": _POLICY})
            else:
                await self._app(within, receive, send)
            return
        asked = _RESUME.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        if through:
            await self._reached(within, given, receive, send, asked)
        else:
            await self._app(within, receive, send)

    async def _reached(
        self, scope: Scope, given: Headers, receive: Receive, send: Send, asked: re.Match[str] | None
    ) -> None:
        """What came through the proxy: an answer, or what else people may do there."""
        method, path = scope["method"], scope["path"]
        if why := reach.refused(method, path, scope.get("query_string", b"").decode("latin-1")):
            await _refuse(send, 403, why)
        elif method not in {"GET", "HEAD", "OPTIONS"} and _from_elsewhere(given):
            await _refuse(send, 403, "this was not sent by Prefect's own page")
        elif asked is not None:
            await self._resumed(scope, given, receive, send, asked)
        elif not reach.looked_into(method, path):
            await self._app(scope, receive, send)
        elif (body := await _whole(receive, reach.LARGEST)) is None:
            await _refuse(send, 413, f"this has {reach.LARGEST} bytes at most")
        else:
            await self._written(scope, given, receive, send, body)

    async def _written(self, scope: Scope, given: Headers, receive: Receive, send: Send, body: bytes) -> None:
        """A write with its body: everybody's, an operator's, or nobody's."""
        method, path = scope["method"], scope["path"]
        deployed = await self._deployed(scope) if reach.started(method, path) else None
        body = reach.as_deployed(body, deployed)
        if why := reach.refused_body(method, path, body):
            await _refuse(send, 403, why)
            return
        what = reach.for_operators(method, path, body)
        what = what or (reach.not_offered(deployed) if reach.started(method, path) else "")
        if what and not self._operates({**scope, "headers": given}):
            await _refuse(send, 403, reach.OPERATORS.format(what))
            return
        body = await self._told(scope, given, body, deployed)
        await self._app({**scope, "headers": _measured(scope["headers"], body)}, _replayed(body, receive), send)

    async def _told(self, scope: Scope, given: Headers, body: bytes, deployed: Json) -> bytes:
        """The body, once it is written down whose it is. Nothing of that keeps anybody from going back."""
        try:
            login = login_of({**scope, "headers": given}, self._trust)
        except Ambiguous as why:
            _log.warning("who asks for %s is not plain: %s", scope["path"], why)
            return body
        if not login:
            return body
        if reach.started(scope["method"], scope["path"]):
            return presses.started_by(
                body, deployed, self._pressed(login, START, f"gopub:{new_token()}"), self._trust.key
            )
        if (button := presses.button_of(body)) and (path := presses.run_of(scope["path"])):
            await self._labelled(scope, path, self._pressed(login, button, path.rpartition("/")[2].lower()))
            return presses.says_who(body, button, login, self._trust.header)
        return body

    def _pressed(self, login: str, button: Button, run: str) -> Pressed:
        return Pressed(button, run, login, self._trust.header, self._clock.now())

    async def _labelled(self, scope: Scope, path: str, what: Pressed) -> None:
        """Write who pressed it into the run's labels, for as long as a Cancel may wait for that."""
        why = ""
        try:
            async with asyncio.timeout(_PATIENCE), self._inside(scope) as http:
                for before in range(_TRIES):
                    if before:
                        await self._clock.sleep(_PAUSE * 2 ** (before - 1))
                    done = await http.patch(f"{path}/labels", json=label(self._trust.key, what))
                    if done.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                        break
            why = "" if done.is_success else f"the server says {done.status_code}"
        except Exception as error:  # noqa: BLE001 - whatever it is, it keeps nobody from going back
            why = repr(error)
        if why:
            _log.warning("that %s pressed %s is not kept: %s", what.login, what.button, why)

    def _operates(self, scope: Scope) -> bool:
        """Whether who is logged in is one of the operators, as people.yaml says now."""
        try:
            login, people = login_of(scope, self._trust), self._people()
        except (Ambiguous, GopubError) as why:
            _log.warning("who operates is not known: %s", why)
            return False
        return bool(login) and people is not None and people.operates(Who("proxy", login, self._trust.header))

    async def _resumed(self, scope: Scope, given: Headers, receive: Receive, send: Send, asked: re.Match[str]) -> None:
        try:
            login = login_of({**scope, "headers": given}, self._trust)
        except Ambiguous as why:
            await _refuse(send, 403, f"who is logged in is not plain: {why}")
            return
        if login:
            await self._answered(scope, receive, send, asked, login)
        else:
            await self._app(scope, receive, send)

    async def _answered(self, scope: Scope, receive: Receive, send: Send, asked: re.Match[str], login: str) -> None:
        body = await _whole(receive, _LARGEST)
        if body is None:
            await _refuse(send, 413, f"an answer has {_LARGEST} bytes at most")
            return
        try:
            sealed = await self._sealed(scope, body, asked, login)
        except httpx.HTTPError as error:  # it is the application's own answer that fails
            _log.warning("the answer in run %s is not vouched for: %s", asked["run"], error)
            sealed = body
        await self._app({**scope, "headers": _measured(scope["headers"], sealed)}, _replayed(sealed, receive), send)

    async def _sealed(self, scope: Scope, body: bytes, asked: re.Match[str], login: str) -> bytes:
        """The answer with its seal; as it came where it is none that can be sealed, or the run no form of ours."""
        answer = _answer_in(body)
        about = await self._about(scope, asked["runs"]) if answer is not None else None
        if answer is None or about is None:
            await self._labelled(scope, asked["runs"], self._pressed(login, "resume", asked["run"].lower()))
            return body
        rollout, step = about
        run, by, now = asked["run"].lower(), self._trust.header, self._clock.now()
        record = Sealed(run, rollout, step, login, by, now, answer_digest(answer))
        return json.dumps({"run_input": {**answer, FIELD: seal(self._trust.key, record)}}).encode()

    async def _deployed(self, scope: Scope) -> Json:
        """The deployment of which a run is started, as the application has it; None where that is not known."""
        deployment = reach.started(scope["method"], scope["path"])
        try:
            async with self._inside(scope) as http:
                found = await http.get(deployment)
            return found.json() if found.is_success else None
        except (httpx.HTTPError, ValueError) as error:  # it is no form then, and job variables are not its own
            _log.warning("what %s is deployed with is not known: %s", deployment, error)
            return None

    def _inside(self, scope: Scope) -> httpx.AsyncClient:
        """Who asks the application itself, let in as whoever asks us."""
        let_in = [(name, value) for name, value in scope["headers"] if name.lower() == b"authorization"]
        inside = httpx.ASGITransport(app=self._app, raise_app_exceptions=False)  # it answers, and raises all the same
        return httpx.AsyncClient(transport=inside, base_url="http://prefect", headers=let_in)

    async def _about(self, scope: Scope, path: str) -> tuple[str, int] | None:
        """What the form is about, as the application has it; None where it is no form of ours that takes a seal."""
        async with self._inside(scope) as http:
            found, form = await http.get(path), await http.get(f"{path}/input/approval-schema")
        if not found.is_success or not form.is_success:
            return None
        run, takes = found.json(), form.json().get("additionalProperties") is not False
        rollout, step = run["parameters"].get("rollout"), run["parameters"].get("step")
        if TAG not in run["tags"] or not takes or not isinstance(rollout, str) or not isinstance(step, int):
            return None
        # Its parameters can be changed by whoever reaches the API; the key under which it was made cannot.
        if not f"{run.get('idempotency_key')}:".startswith(f"approval:{rollout}:{step}:"):
            return None
        return rollout, step

    def _without(self, headers: Headers) -> Iterator[tuple[bytes, bytes]]:
        """What the application is given: nothing that only the proxy may say."""
        for name, value in headers:
            if not _is_like(name, self._trust.header) and not _is_like(name, SECRET_HEADER):
                yield name, value


def _measured(headers: Headers, body: bytes) -> Headers:
    """The headers with this body's length."""
    others = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    return [*others, (b"content-length", str(len(body)).encode())]


def _from_elsewhere(headers: Headers) -> bool:
    """Whether a browser says that another site's page sent this: it would do so under the login of whoever looks."""
    return any(
        name.lower() == b"sec-fetch-site" and value.strip() not in {b"same-origin", b"none"} for name, value in headers
    )


def _answer_in(body: bytes) -> dict[str, Json] | None:
    """The answers of a form, all of them words: what the server would first work out is not what was answered."""
    try:
        whole = read_json(body, limit=_LARGEST)
    except JsonError:
        return None
    answer = whole.get("run_input") if isinstance(whole, dict) else None
    words = isinstance(answer, dict) and answer and all(isinstance(value, str) for value in answer.values())
    return answer if words else None


async def _whole(receive: Receive, most: int) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if message["type"] != "http.request":
            return body
        if len(body) > most:
            return None
        if not message.get("more_body"):
            return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What the application hears: this body, and then whatever comes."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def hear() -> Message:
        return left.pop() if left else await receive()

    return hear


async def _refuse(send: Send, status: int, why: str) -> None:
    body = json.dumps({"detail": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
