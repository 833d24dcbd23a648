"""Alertmanager: a message becomes an alert, so its routes, silences and inhibitions say who is told, when and where.

What stays until somebody does something fires until it is over, which is told it; what has happened fires for
``lasts``. The same message has the same labels and the same beginning however often it is sent, so an attempt that is
made again is no second alert. Alertmanager keeps alerts in memory, and each of a cluster has to be told by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar, Literal, Self

import httpx
from pydantic import Field, model_validator

from gopub.canon import Json, bounded
from gopub.clock import Clock, SystemClock
from gopub.connecting import Words, authorities, denied, trouble, wants_tls
from gopub.errors import GopubError
from gopub.notify.message import About, Message, Tone
from gopub.notify.protocol import Answer, NotifyConnection
from gopub.spec.alerting import own_name
from gopub.spec.fields import PositiveSeconds, Word, refuse
from gopub.spec.kinds import LocalPath, SecretRef
from gopub.spec.texts import HttpUrl, LabelName
from gopub.telemetry import REDACTOR, one_line

WITHIN = 20.0
"""Seconds for one message."""
LONGEST = 7 * 86400.0
"""Seconds for which an alert fires whose end nobody tells any more: its rollout's folder or journal is gone."""
TRIAL = 300.0
"""The same for what `gopub notify test` sends."""
APART = 30.0
"""Seconds by which clocks may differ: an end that lies ahead of Alertmanager's would be none to it."""
_SEVERITY = {Tone.INFO: "info", Tone.GOOD: "info", Tone.WARNING: "warning", Tone.BAD: "critical"}
_OURS = frozenset({"alertname", "app", "env", "rollout", "event", "notice"})
_ANSWER = 64 << 10
_SHOWN = 300
_WORDS = Words(
    ca="`ca: FILE.pem` in the connection",
    plain="write the url with http://, or make the server speak TLS",
    tls="write the url with https://",
)


class Alertmanager(NotifyConnection):
    """An Alertmanager."""

    hears_ends: ClassVar[bool] = True
    kind: Literal["alertmanager"] = "alertmanager"
    url: HttpUrl
    """Its address, with the prefix that it has behind a proxy and without /api; of a cluster one connection each."""
    token: SecretRef | None = None
    """A bearer token."""
    user: Word | None = None
    """The user of basic auth, with `password`."""
    password: SecretRef | None = None
    """The password of basic auth."""
    ca: LocalPath | None = None
    """The certificate of the authority that signed the server's (PEM), where it is a private one."""
    labels: dict[LabelName, Word] = Field(default_factory=dict)
    """Labels that each alert has besides, as routes ask for them; `severity` takes the place of ours."""
    lasts: PositiveSeconds = 3600.0
    """How long an alert fires that tells what has happened: promoted, rolled-back, withdrawn, owed."""

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise refuse("GP115", "user and password go together", "write both, or token in their place")
        if self.user and self.token:
            raise refuse("GP134", "the login is given twice", "write a token, or a user and a password")
        if ":" in (self.user or ""):
            raise refuse("GP129", "a user of basic auth has no colon", "write the password as password: {env: NAME}")
        if twice := sorted(_OURS & self.labels.keys()):
            raise refuse("GP134", f"the label {twice[0]} is gopub's own", "choose another name for it")
        return self

    def open(self) -> AlertmanagerNotifier:
        """The server; nothing is asked yet."""
        return AlertmanagerNotifier(self)


class AlertmanagerNotifier:
    """Posts each message as one alert."""

    def __init__(self, connection: Alertmanager, clock: Clock | None = None, within: float = WITHIN) -> None:
        """Read no secret yet; a message has ``within`` seconds."""
        self._to, self._clock, self._within = connection, clock or SystemClock(), within

    async def send(self, message: Message) -> Answer:
        """Hand it over; see `Notifier.send`."""
        try:
            context = authorities(self._to.ca) if self._to.ca else True
            auth, headers = self._login()
            async with (
                asyncio.timeout(self._within),
                httpx.AsyncClient(verify=context, timeout=self._within, auth=auth, headers=headers) as client,
                client.stream("POST", f"{self._to.url.rstrip('/')}/api/v2/alerts", json=[self._alert(message)]) as sent,
            ):
                return _answer(sent.status_code, await _beginning(sent))
        except GopubError as error:
            return Answer(taken=False, says=error.problem)
        except (TimeoutError, httpx.TimeoutException):
            return Answer(taken=False, says=f"no answer within {self._within:g}s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            found = trouble(error, _WORDS)
            return Answer(taken=False, says=_clean(str(found) if found else f"it failed with {type(error).__name__}"))

    def _login(self) -> tuple[httpx.Auth | None, Mapping[str, str]]:
        """For this server alone: no redirect is followed."""
        if self._to.token:
            return None, {"Authorization": f"Bearer {_in_header(self._to.token)}"}
        if self._to.user and self._to.password:
            return httpx.BasicAuth(self._to.user, self._to.password.reveal()), {}
        return None, {}

    def _alert(self, message: Message) -> dict[str, Json]:
        about, now = message.about, self._clock.now()
        begins = min(about.since or now, now)
        ends = now + _lasts(about, self._to.lasts)
        if about.over is not None:
            ends = max(min(about.over, now) - APART, begins)
        labels = {**labels_of(about), "severity": _SEVERITY[message.tone], **self._to.labels}
        return {
            "labels": {name: text for name, text in labels.items() if text},
            "annotations": {"summary": message.title, "description": message.body},
            "startsAt": _told(begins),
            "endsAt": _told(ends),
        }


def labels_of(about: About) -> dict[str, str]:
    """By which labels an alert of ours is known, the same at each attempt and at its end."""
    return {"alertname": own_name(about.event), "app": about.app, "env": about.env, "rollout": about.rollout,
            "event": about.event, "notice": about.key}  # fmt: skip


def _told(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _lasts(about: About, lasts: float) -> float:
    if about.event == "test":
        return min(TRIAL, lasts)
    return LONGEST if about.holds else lasts


def _in_header(ref: SecretRef) -> str:
    text = ref.reveal()
    if not (text.isascii() and text.isprintable() and text == text.strip()):
        raise GopubError("GP129", f"{ref} has what no header can hold", hint="a token is one line of plain characters")
    return text


async def _beginning(answer: httpx.Response) -> bytes:
    read = b""
    async for part in answer.aiter_bytes():
        read += part
        if len(read) >= _ANSWER:
            break
    return read[:_ANSWER]


def _answer(status: int, body: bytes) -> Answer:
    if status == httpx.codes.OK:
        return Answer(taken=True, says="taken")
    if found := wants_tls(status, body, _WORDS) or denied(status, "token, or user and password, of the connection"):
        return Answer(taken=False, says=_clean(str(found)))
    if 300 <= status < 400:
        return Answer(taken=False, says=f"it sends elsewhere ({status}), which is not followed")
    return Answer(taken=False, says=_clean(f"it answers {status}: {body.decode(errors='replace')}"))


def _clean(text: str) -> str:
    """Without secrets, on one line; cleaned before it is cut: half a secret is not known as one."""
    return bounded(one_line(REDACTOR.clean(text)), _SHOWN)
