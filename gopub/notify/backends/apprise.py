"""Mail, chat rooms and webhooks through apprise: one URL says the service and who is meant there.

apprise works in a child process: its sockets wait as long as a server drips, its plug-ins are a hundred modules, and
what it logs may hold the URL, which is a secret as a whole. The child is ended when its time is over, so that a server
that hangs delays nobody; the URL reaches it on its standard input, never on a command line.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import gopub
from gopub.canon import bounded
from gopub.errors import GopubError
from gopub.notify.message import Message
from gopub.notify.protocol import Answer, NotifyConnection
from gopub.process import base_environment, run
from gopub.spec.kinds import SecretRef
from gopub.telemetry import REDACTOR, Redactor, one_line

WITHIN = 20.0
"""Seconds for one message, then the child is ended."""
_LONGEST = 300
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Apprise(NotifyConnection):
    """A service that apprise knows: mail, Slack, Teams, DingTalk, Feishu, WeCom, a webhook and a hundred more."""

    kind: Literal["apprise"] = "apprise"
    url: SecretRef
    """The service and who is meant there, as an apprise URL; the whole of it is a secret."""
    secret: SecretRef | None = None
    """With what messages to DingTalk, Feishu and Lark are signed, where their bot wants signatures."""

    def open(self) -> AppriseNotifier:
        """The service that the URL names."""
        return AppriseNotifier(self.url, secret=self.secret)


class AppriseNotifier:
    """Sends each message from a process of its own."""

    def __init__(self, url: SecretRef, within: float = WITHIN, *, secret: SecretRef | None = None) -> None:
        """Read no secret yet; a message has ``within`` seconds."""
        self._url, self._within, self._secret = url, within, secret

    async def send(self, message: Message) -> Answer:
        """Hand it over; see `Notifier.send`."""
        # For what comes back alone: a part of the URL may be a name that all else is full of, as the app's.
        hidden = Redactor()
        try:
            url = self._url.reveal().strip()
            secret = self._secret.reveal().strip() if self._secret else ""
            for part in (*parts_of(url), *filter(None, [secret])):
                hidden.learn(part)
            asked = {"url": url, "secret": secret, "title": message.title, "body": message.body,
                     "tone": message.tone, "within": self._within}  # fmt: skip
            done = await run(
                [sys.executable, "-s", "-P", "-m", "gopub.notify.backends.child"],
                cwd=Path("/"),
                env=base_environment(extra={"PYTHONPATH": _root()}, keep=_CERTIFICATES),
                stdin=json.dumps(asked).encode(),
                timeout=self._within,
                check=False,
            )
        except GopubError as error:
            late = error.code == "GP903"
            return Answer(
                taken=False, says=f"no answer within {self._within:g}s" if late else _clean(error.problem, hidden)
            )
        return _answer(done.code, done.text, hidden)


def _answer(code: int, text: str, hidden: Redactor) -> Answer:
    try:
        found = json.loads(text)
        return Answer(taken=found["taken"] is True, says=_clean(str(found["says"]), hidden))
    except (ValueError, KeyError, TypeError):
        return Answer(taken=False, says=f"the program that sends messages ended with exit code {code}")


def parts_of(url: str) -> set[str]:
    """What of a URL may be told by itself and is as secret as the whole: login, tokens of its path, its query."""
    after = url.partition("://")[2]
    return {part for text in (after, unquote(after)) for part in re.split(r"[/?&=@:,\s]", text) if part}


def _clean(text: str, hidden: Redactor) -> str:
    """Without secrets, on one line; cleaned before it is cut: half a secret is not known as one."""
    return bounded(one_line(hidden.clean(REDACTOR.clean(text))), _LONGEST)


def _root() -> str:
    return str(Path(gopub.__file__).parent.parent)
