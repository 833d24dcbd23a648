"""The child that sends one message by apprise: JSON on its standard input, JSON on its standard output.

It ends itself when its time is over: who started it may have been killed, and a server that drips holds a socket open
for as long as it likes. No redirect is followed: it would take the message to whoever answers. Of an answer the
beginning is read: one that never ends would fill the memory. The chat rooms that refuse a message do so with "200 OK"
and a code in the answer, at which apprise does not look; here it counts. Nor does apprise sign what goes to Feishu.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import signal
import sys
from functools import partial
from typing import Any, ClassVar

import apprise
import requests

from gopub.clock import SystemClock

_ERRCODE = ("errcode",), "errmsg"
_CODE = ("code", "StatusCode"), "msg"
_CODES = {"dingtalk": _ERRCODE, "wecombot": _ERRCODE, "feishu": _CODE, "lark": _CODE}
"""Where these services say that they took it, with a 0, and why they did not."""
_SIGNED_INSIDE = frozenset({"feishu", "lark"})
"""These take a signature as members of what they are sent; DingTalk takes one in the address."""
_LONGEST = 64 << 10
_SHOWN = 200


class _Heard(logging.Handler):
    """Keeps what apprise warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        self.said.append(record.getMessage())


class _Session(requests.Session):
    """Follows no redirect, and sees what the service answered."""

    # Of this process, which sends one message.
    answers: ClassVar[list[requests.Response]] = []
    failures: ClassVar[list[str]] = []
    """By their kind alone: their words hold the URL."""
    secret: ClassVar[str] = ""
    """With what the body is signed, where it is."""

    def send(self, request: Any, **kwargs: Any) -> requests.Response:
        """As requests does, and no more of the answer than anybody reads."""
        if self.secret and request.body:
            request.prepare_body(data=None, files=None, json=_signed(json.loads(request.body), self.secret))
        try:
            answer = super().send(request, **{**kwargs, "allow_redirects": False, "stream": True})
            answer._content = _beginning(answer)  # noqa: SLF001 - read as if it were all
            answer.close()
        except requests.RequestException as error:
            self.failures.append(type(error).__name__)
            raise
        self.answers.append(answer)
        return answer


def _beginning(answer: requests.Response) -> bytes:
    read = b""
    for part in answer.iter_content(_LONGEST):
        read += part
        if len(read) >= _LONGEST:
            break
    return read[:_LONGEST]


def _in_address(secret: str) -> tuple[str, str]:
    """As DingTalk has it: the secret is the key, the time in milliseconds and the secret are what is signed."""
    stamp = str(round(SystemClock().now() * 1000))
    mac = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), "sha256").digest()
    return stamp, base64.b64encode(mac).decode()


def _signed(message: dict[str, Any], secret: str) -> dict[str, Any]:
    """As Feishu has it: the time and the secret are the key, and nothing is what is signed."""
    stamp = str(int(SystemClock().now()))
    mac = hmac.new(f"{stamp}\n{secret}".encode(), b"", "sha256").digest()
    return {"timestamp": stamp, "sign": base64.b64encode(mac).decode(), **message}


def sent(url: str, title: str, body: str, tone: str, secret: str = "") -> dict[str, Any]:
    """Whether the service took it, and what came back."""
    heard = _Heard()
    logging.getLogger("apprise").addHandler(heard)
    requests.sessions.Session = _Session  # type: ignore[misc] # requests makes one for each call, by that name
    asset = apprise.AppriseAsset(app_id="gopub", app_desc="gopub", app_url="", http_redirects=False, async_mode=False)
    service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if service is None:
        return {"taken": False, "says": "apprise does not understand the URL"}
    # Not by the URL that was given: apprise knows some of them by their https address as well.
    named = service.url().partition("://")[0]  # type: ignore[no-untyped-call]
    if not _signs(service, named, secret):
        return {"taken": False, "says": f"{named} takes no secret beside its URL"}
    room = apprise.Apprise(asset=asset)
    room.add(service)
    taken = room.notify(body, title=title, notify_type=tone, body_format=apprise.NotifyFormat.TEXT)
    if refused := next(filter(None, (_refused(one, named) for one in _Session.answers)), ""):
        return {"taken": False, "says": refused}
    moved = [one.status_code for one in _Session.answers if one.is_redirect]
    if moved:
        return {"taken": False, "says": f"it sends elsewhere ({moved[0]}), which is not followed"}
    says = "; ".join(dict.fromkeys((*heard.said, *_Session.failures))) or (
        "taken" if taken else "not taken, and apprise does not say why"
    )
    return {"taken": bool(taken), "says": says}


def _signs(service: Any, named: str, secret: str) -> bool:
    """Let it sign with the secret, or the one that stands in its URL before an @; False where it cannot."""
    if named in _SIGNED_INSIDE:
        _Session.secret = secret or service.user or ""
    elif named == "dingtalk" and (secret or service.secret):
        service.secret = secret or service.secret
        # apprise escapes it, and requests once more: what DingTalk reads then is another signature.
        service.get_signature = partial(_in_address, service.secret)
    return not secret or named in {*_SIGNED_INSIDE, "dingtalk"}


def _refused(answer: requests.Response, service: str) -> str:
    """Why a chat room that answered with success did not take it; empty where it did, which it has to say."""
    if service not in _CODES or not answer.ok:
        return ""
    codes, words = _CODES[service]
    text = answer.content[:_LONGEST]
    try:
        found = json.loads(text)
        number, why = next((found[code] for code in codes if code in found), None), found.get(words)
    except (ValueError, AttributeError, TypeError):
        number = why = None
    if number is None:  # as DingTalk answers who sends too much: {"status": 1111, "wait": 5}
        return f"its answer is not what this service answers: {text[:_SHOWN].decode(errors='replace')}"
    return "" if str(number) == "0" else f"refused: {number} {why}"


if __name__ == "__main__":
    asked = json.loads(sys.stdin.buffer.read())
    signal.setitimer(signal.ITIMER_REAL, asked["within"])
    said = sent(asked["url"], asked["title"], asked["body"], asked["tone"], asked.get("secret", ""))
    sys.stdout.write(json.dumps(said))
