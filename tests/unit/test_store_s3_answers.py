"""Servers that are no S3, or no good one: words, no traceback, no secret, and no memory without an end."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gopub.errors import GopubError
from gopub.spec.kinds import SecretRef
from gopub.store.backends.s3 import MOST_SAID, S3, S3Store

SECRET = "secretkey1234567890"
KEY = "blobs/sha256/" + "a" * 64
LIST = "<ListBucketResult><Name>bucket</Name>{}</ListBucketResult>"
ONE = f"<Contents><Key>{KEY}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>1</Size></Contents>"
ERROR = "<Error><Code>Odd</Code><Message>{}</Message></Error>"
NO_S3 = "its answer is not what S3 answers (a login page?)"
XML = {"Content-Type": "application/xml"}
Answer = tuple[int, Mapping[str, str], bytes]


@pytest.fixture
def server() -> Iterator[tuple[S3Store, list[Answer], list[str]]]:
    answers: list[Answer] = []
    headers: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            headers.append(self.headers.get("Authorization", ""))
            status, given, body = answers[min(len(headers), len(answers)) - 1]
            self.send_response(status)
            for name, text in given.items():
                self.send_header(name, text)
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

    with pytest.MonkeyPatch.context() as patch, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        patch.setenv("AK", "accesskey123456")
        patch.setenv("SK", SECRET)
        threading.Thread(target=http.serve_forever, daemon=True).start()
        keys = {"access_key": SecretRef(env="AK"), "secret_key": SecretRef(env="SK")}
        endpoint = f"127.0.0.1:{http.server_port}"
        yield (
            S3(endpoint=endpoint, bucket="bucket", region="us-east-1", secure=False, **keys).open(),
            answers,
            headers,
        )
        http.shutdown()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((200, {"Content-Type": "text/html"}, b"<html>log in<br>"), NO_S3),
        ((200, {}, b""), NO_S3),
        ((400, XML, b"<Error><Code>Odd</Code><Message>\x1b]0;t\x07</Message></Error>"), NO_S3),
        ((400, XML, ERROR.format(f"you sent {SECRET}").encode()), "Odd: you sent **********"),
        ((400, XML, ERROR.format("x" * 284 + SECRET).encode()), "Odd: " + "x" * 284 + "*" * 10),
        (
            (200, XML, LIST.format("<a>" + "x" * MOST_SAID + "</a>").encode()),
            f"an answer larger than {MOST_SAID} bytes",
        ),
        (
            (200, XML | {"Content-Encoding": "gzip"}, gzip.compress(b" " * (MOST_SAID + 1))),
            f"an answer larger than {MOST_SAID} bytes",
        ),
    ],
    ids=["a page", "nothing", "no XML", "a secret", "half a secret", "without an end", "a bomb"],
)
async def test_what_is_no_answer_of_s3_is_told(
    answer: Answer, why: str, server: tuple[S3Store, list[Answer], list[str]]
) -> None:
    store, answers, _ = server
    answers.append(answer)
    with pytest.raises(GopubError) as caught:
        await store.list("blobs/")
    told = f"the bucket 'bucket' at {store.connection.endpoint} cannot be used: {why}"
    assert (caught.value.code, caught.value.problem) == ("GP342", told)


async def test_control_a_list_is_read_plain_and_packed(server: tuple[S3Store, list[Answer], list[str]]) -> None:
    store, answers, _ = server
    body = LIST.format(ONE).encode()
    answers += [(200, XML, body), (200, XML | {"Content-Encoding": "gzip"}, gzip.compress(body))]
    assert [await store.list("blobs/") for _ in answers] == [[KEY]] * 2


async def test_a_redirect_to_another_server_takes_no_signature_along(
    server: tuple[S3Store, list[Answer], list[str]],
) -> None:
    store, answers, headers = server
    elsewhere = store.connection.endpoint.replace("127.0.0.1", "localhost")
    answers += [(307, {"Location": f"http://{elsewhere}/x"}, b""), (200, XML, LIST.format(ONE).encode())]
    assert await store.list("blobs/") == [KEY]
    assert [bool(one) for one in headers] == [True, False]
