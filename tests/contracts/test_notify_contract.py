"""What may be expected of whoever carries messages, and of the real apprise against real servers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gopub.notify.backends.apprise import AppriseNotifier
from gopub.notify.message import About, Message, Tone
from gopub.notify.protocol import Answer, NotifyConnection
from gopub.spec.connections import parse_connections
from gopub.spec.kinds import Kinds, SecretRef
from gopub.telemetry import REDACTOR
from gopub.wiring.backends import BACKENDS
from tests.contracts.tls_server import Authority
from tests.support.rooms import Post, Room, postbox, room

TOLD = Message("hello 2.0.0 in prod: rolled back", "It was taken back.\nNext: gopub explain r-1", Tone.BAD)
SECRET = "s3cretT0kenOfTheRoom"
WECOM = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=a0b1c2d3-a0b1-a0b1-a0b1-a0b1c2d3e4f5"
FIXED = (
    "hooks.slack.com",
    "oapi.dingtalk.com",
    "open.feishu.cn",
    "open.larksuite.com",
    "qyapi.weixin.qq.com",
    "prod-1.logic.azure.com",
)


@dataclass
class NotifyGround:
    """A connection to whoever carries messages."""

    connection: NotifyConnection
    came: Callable[[], list[str]]
    """The texts that came so far."""
    leave: Callable[[], None]
    """Let it be away."""

    def send(self, message: Message = TOLD) -> Answer:
        return asyncio.run(self.connection.open().send(message))


def connected(text: str, folder: Path, kinds: Kinds = BACKENDS) -> NotifyConnection:
    """The connection of that text."""
    made = parse_connections(f"n: {text}\n", "c.yaml", folder, kinds)["n"]
    assert isinstance(made, NotifyConnection)
    return made


def named(key: str) -> Message:
    """One of several of a rollout."""
    return replace(TOLD, title=key, about=About("hello", "prod", "r-1", "2.0.0", "rolled-back", key))


class NotifyContract:
    """The suite; a subclass gives ``ground``."""

    KIND = ""

    def test_a_message_arrives_with_every_line(self, ground: NotifyGround) -> None:
        assert ground.send().taken
        (text,) = ground.came()
        for line in (TOLD.title, *TOLD.body.splitlines()):
            assert line in text

    def test_what_is_not_ascii_arrives(self, ground: NotifyGround) -> None:
        assert ground.send(Message("hello 发布到 prod", "已退回：错误率 2 %")).taken
        assert "发布到" in ground.came()[0] and "错误率" in ground.came()[0]

    def test_one_that_is_away_takes_nothing_and_says_so(self, ground: NotifyGround) -> None:
        ground.leave()
        answer = ground.send()
        assert not answer.taken
        assert answer.says
        assert ground.came() == []

    def test_several_at_once_all_arrive(self, ground: NotifyGround) -> None:
        async def three() -> list[Answer]:
            notifier = ground.connection.open()
            return list(await asyncio.gather(*(notifier.send(named(f"n{n}")) for n in range(3))))

        assert all(answer.taken for answer in asyncio.run(three()))
        assert len(ground.came()) == 3


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.new(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def web(authority: Authority) -> Iterator[Room]:
    """A server and proxy."""
    with room(authority.sign(*FIXED)) as found:
        yield found


def by(url: str, monkeypatch: pytest.MonkeyPatch, within: float = 60.0, secret: str = "") -> AppriseNotifier:
    monkeypatch.setenv("GOPUB_TEST_ROOM", url)
    monkeypatch.setenv("GOPUB_TEST_SIGNING", secret)
    signing = SecretRef(env="GOPUB_TEST_SIGNING") if secret else None
    return AppriseNotifier(SecretRef(env="GOPUB_TEST_ROOM"), within, secret=signing)


class TestApprise(NotifyContract):
    KIND = "apprise"

    @pytest.fixture
    def ground(self, web: Room, tmp_path: Path) -> NotifyGround:
        (tmp_path / "url").write_text(f"json://{web.address}/{SECRET}\n")

        def texts() -> list[str]:
            return [f"{post.json['title']}\n{post.json['message']}" for post in web.came if web.status == 200]

        def leave() -> None:
            web.status = 500

        return NotifyGround(connected("{kind: apprise, url: {file: url}}", tmp_path), texts, leave)


def sent(
    url: str, web: Room, authority: Authority, monkeypatch: pytest.MonkeyPatch, secret: str = ""
) -> tuple[Answer, Post | None]:
    """To a service whose address is fixed."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://{web.address}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca))
    answer = asyncio.run(by(url, monkeypatch, secret=secret).send(TOLD))
    return answer, web.came[-1] if web.came else None


def test_slack_gets_what_slack_takes(web: Room, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    web.answer = b"ok"
    answer, post = sent("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", web, authority, monkeypatch)
    assert answer.taken and post
    assert (post.host, post.path) == ("hooks.slack.com", "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ")
    (attachment,) = post.json["attachments"]
    assert (attachment["title"], attachment["text"]) == (TOLD.title, TOLD.body)


@pytest.mark.parametrize(
    ("url", "path", "text", "refusal"),
    [
        (f"feishu://{SECRET}", f"/open-apis/bot/v2/hook/{SECRET}/", lambda it: it["content"]["text"],
         b'{"code": 19024, "msg": "Key Words Not Found"}'),
        (f"dingtalk://{SECRET}", f"/robot/send?access_token={SECRET}", lambda it: it["text"]["content"],
         b'{"errcode": 310000, "errmsg": "keywords not in content"}'),
        (f"wecombot://{SECRET}", f"/cgi-bin/webhook/send?key={SECRET}", lambda it: it["text"]["content"],
         b'{"errcode": 93000, "errmsg": "invalid webhook url"}'),
    ],
    ids=["feishu", "dingtalk", "wecom"],
)  # fmt: skip
def test_a_chat_room_gets_the_text_and_what_it_refuses_is_told(
    url: str, path: str, text: Callable[[object], str], refusal: bytes, web: Room, authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    web.answer = b'{"code": 0, "errcode": 0}'
    answer, post = sent(url, web, authority, monkeypatch)
    assert answer.taken and post
    assert post.path == path
    assert TOLD.title in text(post.json) and TOLD.body in text(post.json)
    web.answer = refusal  # with "200 OK", as these services do
    answer, _ = sent(url, web, authority, monkeypatch)
    assert not answer.taken
    assert answer.says.startswith("refused: ")


@pytest.mark.parametrize(
    ("url", "answer", "taken"),
    [
        (f"dingtalk://{SECRET}", b'{"status": 1111, "wait": 5, "punish": "deny"}', False),  # who sends too much
        (f"feishu://{SECRET}", b'{"code": null}', False),
        (f"feishu://{SECRET}", b'{"StatusCode": 0, "StatusMessage": "success"}', True),
        (WECOM, b'{"errcode": 93000, "errmsg": "no"}', False),
        (WECOM, b'{"errcode": "0"}', True),
    ],
)
def test_a_chat_room_has_to_say_that_it_took_it(
    url: str, answer: bytes, taken: bool, web: Room, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    web.answer = answer
    said, post = sent(url, web, authority, monkeypatch)
    assert post, "it was asked"
    assert said.taken is taken, said


SIGNING = "SEC5igningKeyOfTheBot"


def mac(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


@pytest.mark.parametrize(
    ("url", "secret"),
    [(f"feishu://{SECRET}", SIGNING), (f"feishu://{SIGNING}@{SECRET}", ""), (f"lark://{SECRET}", SIGNING)],
)
def test_feishu_is_signed_as_it_wants_it(
    url: str, secret: str, web: Room, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time in seconds and the secret, a line feed between them, are the key; what is signed is empty."""
    web.answer = b'{"code": 0}'
    begun = int(time.time())
    answer, post = sent(url, web, authority, monkeypatch, secret)
    assert answer.taken and post
    stamp, signature = post.json["timestamp"], post.json["sign"]
    assert begun <= int(stamp) <= time.time()
    assert signature == mac(f"{stamp}\n{SIGNING}", "")
    assert TOLD.body in post.json["content"]["text"]
    assert SIGNING not in post.body.decode() + post.path


@pytest.mark.parametrize(("url", "secret"), [(f"dingtalk://{SECRET}", SIGNING), (f"dingtalk://{SIGNING}@{SECRET}", "")])
def test_dingtalk_is_signed_as_it_wants_it(
    url: str, secret: str, web: Room, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time in milliseconds goes into the address, signed with the secret, and escaped once."""
    web.answer = b'{"errcode": 0}'
    answer, post = sent(url, web, authority, monkeypatch, secret)
    assert answer.taken and post
    query = {name: one for name, (one,) in parse_qs(urlsplit(post.path).query).items()}
    assert query["access_token"] == SECRET
    assert abs(int(query["timestamp"]) / 1000 - time.time()) < 3600
    assert query["sign"] == mac(SIGNING, f"{query['timestamp']}\n{SIGNING}")


def test_a_bot_without_a_secret_is_not_signed_and_one_that_takes_none_says_so(
    web: Room, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.answer = b'{"code": 19021, "msg": "sign match fail or timestamp is not within one hour from current time"}'
    answer, post = sent(f"feishu://{SECRET}", web, authority, monkeypatch)
    assert post and "sign" not in post.json
    assert answer == Answer(taken=False, says="refused: 19021 " + json.loads(web.answer)["msg"])
    answer, _ = sent(f"wecombot://{SECRET}", web, authority, monkeypatch, SIGNING)
    assert answer == Answer(taken=False, says="wecombot takes no secret beside its URL")
    assert len(web.came) == 1, "nothing was sent that would not be signed"


def test_an_answer_that_never_ends_is_read_to_no_end(web: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    web.headers, web.pours = {"Content-Length": str(1 << 40)}, 1 << 20
    answer = asyncio.run(by(f"json://{web.address}/{SECRET}", monkeypatch).send(TOLD))
    assert answer == Answer(taken=True, says="taken"), "it said so before"
    assert web.poured < 64, "of an endless answer the beginning was read"


def test_no_secret_is_in_what_anybody_sees_of_the_process(web: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPUB_TEST_SIGNING", SIGNING)
    web.hangs = threading.Event()
    notifier = AppriseNotifier(SecretRef(env="GOPUB_TEST_ROOM"), 60.0, secret=SecretRef(env="GOPUB_TEST_SIGNING"))
    monkeypatch.setenv("GOPUB_TEST_ROOM", f"dingtalk://{SECRET}")
    monkeypatch.setenv("HTTPS_PROXY", f"http://{web.address}")

    async def seen() -> bytes:
        sending = asyncio.create_task(notifier.send(TOLD))
        shown = b""
        while not shown and not sending.done():
            await asyncio.sleep(0.05)
            shown = await asyncio.to_thread(shown_of_children)
        web.hangs.set()  # type: ignore[union-attr]
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        return shown

    shown = asyncio.run(seen())
    assert b"gopub.notify.backends.child" in shown, "control: it is this process"
    assert SECRET.encode() not in shown and SIGNING.encode() not in shown
    assert SIGNING in os.environ["GOPUB_TEST_SIGNING"], "control: it stands in ours"


def shown_of_children() -> bytes:
    """Command line and environment of the child that sends, once it runs its program; empty while it does not."""
    for one in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"PPid:\t{os.getpid()}\n" not in (one / "status").read_text():
                continue
            line, around = (one / "cmdline").read_bytes(), (one / "environ").read_bytes()
            if b"gopub.notify.backends.child" in line and b"PYTHONPATH" in around:
                return line + around
    return b""


def test_a_name_in_the_url_is_no_secret_elsewhere(web: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """An app's webhook is called like the app: what is told of it must stay readable."""
    web.status, url = 500, f"json://{web.address}/checkout-orders"
    asyncio.run(by(url, monkeypatch).send(TOLD))
    assert REDACTOR.clean("checkout-orders 2 in prod") == "checkout-orders 2 in prod"
    assert url not in REDACTOR.clean(f"see {url}"), "control: the whole is one"


def test_the_child_ends_by_itself_where_who_started_it_was_killed(web: Room) -> None:
    web.hangs = threading.Event()
    asked = {"url": f"json://{web.address}/?rto=600", "title": "t", "body": "b", "tone": "info", "within": 4.0}
    argv = [sys.executable, "-P", "-m", "gopub.notify.backends.child"]
    done = subprocess.run(argv, input=json.dumps(asked).encode(), timeout=120, check=False, capture_output=True)
    assert done.returncode == -signal.SIGALRM


def test_teams_gets_a_card(web: Room, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, post = sent(f"workflows://prod-1.logic.azure.com/643e69ef/{SECRET}/", web, authority, monkeypatch)
    assert answer.taken and post
    assert post.path.startswith("/workflows/643e69ef/triggers/manual/paths/invoke")
    assert TOLD.title in post.body.decode() and "gopub explain r-1" in post.body.decode()


def test_mail_is_text_that_obeys_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with postbox() as box:
        url = f"mailto://user:{SECRET}@127.0.0.1:{box.port}?smtp=127.0.0.1&mode=insecure&from=gopub@a.example&to=b@b.example"
        told = replace(TOLD, body="why: <script>alert(1)</script>\nNext: gopub explain r-1")
        answer = asyncio.run(by(url, monkeypatch).send(told))
        assert answer == Answer(taken=True, says="taken")
        (mail,) = box.mails
        assert (mail["Subject"], mail["To"]) == (TOLD.title, "b@b.example")
        page = mail.get_body(("html",))
        assert page is not None and "<script>" not in page.get_content()
        box.refuses = f"554 no {SECRET}"
        refused = asyncio.run(by(url, monkeypatch).send(told))
    assert not refused.taken and SECRET not in refused.says


@pytest.mark.parametrize("status", [302, 307, 401, 429, 500])
def test_what_is_no_success_is_not_taken_and_says_no_secret(
    status: int, web: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    with room() as other:
        web.status, web.answer = status, f"{SECRET} is wrong".encode()
        if status < 400:
            web.headers["Location"] = f"http://{other.address}/{SECRET}"
        answer = asyncio.run(by(f"json://{web.address}/{SECRET}?redirect=yes", monkeypatch).send(TOLD))
        assert not answer.taken
        assert str(status) in answer.says
        assert SECRET not in answer.says
        assert len(web.came) == 1
        assert other.came == [], "a redirect would take the message to whoever answers"


def test_a_server_that_hangs_is_given_up(web: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    web.hangs = threading.Event()  # apprise itself waits only for four seconds unless its URL says otherwise
    answer = asyncio.run(by(f"json://{web.address}/{SECRET}?rto=600", monkeypatch, within=5.0).send(TOLD))
    assert answer == Answer(taken=False, says="no answer within 5s")


def test_one_that_closes_and_one_that_is_no_url_are_told_without_the_secret(
    web: Room, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    web.closes = True
    answers = [
        asyncio.run(by(url, monkeypatch).send(TOLD))
        for url in (f"json://{web.address}/{SECRET}", f"nobody://{SECRET}", SECRET)
    ]
    assert not any(answer.taken for answer in answers)
    assert "ConnectionError" in answers[0].says
    shown = f"{answers} {capfd.readouterr()}"
    assert SECRET not in shown


def test_a_secret_that_is_not_there_is_told_by_its_name() -> None:
    answer = asyncio.run(AppriseNotifier(SecretRef(env="GOPUB_TEST_NO_ROOM")).send(TOLD))
    assert answer == Answer(taken=False, says="environment variable GOPUB_TEST_NO_ROOM holds no secret")
