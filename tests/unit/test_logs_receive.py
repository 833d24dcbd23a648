"""`gopub logs receive`: where it listens and whom it lets send; and one that runs, without Prefect."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gopub.cli.receiving import TOKEN, address_of, insist_safe, listening, token_of
from gopub.errors import GopubError
from gopub.health.receiver.keeping import Keeper
from tests.unit.test_logs_received import LOST, text

ROOT = Path(__file__).parents[2]
LONG = "0123456789abcdef"
WATCHED = """
import sys
from gopub.cli.main import run
try:
    run()
finally:
    print("IMPORTED", *sorted({"prefect", "fastapi", "uvicorn"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("written", "found"),
    [("127.0.0.1:4318", ("127.0.0.1", 4318)), ("[::1]:0", ("::1", 0)), ("logs.corp:80", ("logs.corp", 80))],
)
def test_an_address_is_a_host_and_a_port(written, found):
    assert address_of(written) == found


@pytest.mark.parametrize("written", ["", "4318", "host", "host:", ":4318", "::1:4318", "host:65536", "host:-1", "a b"])
def test_anything_else_is_none(written):
    with pytest.raises(GopubError) as caught:
        address_of(written)
    assert caught.value.code == "GP977"


@pytest.mark.parametrize(
    ("host", "token", "tls", "code"),
    [("127.0.0.1", "", False, ""), ("::1", "", False, ""), ("::", "", True, "GP977"),
     ("web1", LONG, False, "GP914"), ("web1", LONG, True, ""), ("", "", True, "GP977")],
)  # fmt: skip
def test_others_than_this_machine_need_a_token_that_nobody_reads_on_the_way(host, token, tls, code):
    if not code:
        insist_safe(host, token, tls=tls)
        return
    with pytest.raises(GopubError) as caught:
        insist_safe(host, token, tls=tls)
    assert caught.value.code == code


def test_a_token_comes_from_a_file_or_the_environment_and_cannot_be_guessed(tmp_path, monkeypatch):
    monkeypatch.delenv(TOKEN, raising=False)
    assert token_of(None) == ""
    monkeypatch.setenv(TOKEN, LONG)
    assert token_of(None) == LONG
    file = tmp_path / "token"
    file.write_text(LONG[::-1] + "\n")
    assert token_of(file) == LONG[::-1], "the file is what was named"
    file.write_text("short")
    for bad, code in ((file, "GP977"), (tmp_path / "none", "GP142")):
        with pytest.raises(GopubError) as caught:
            token_of(bad)
        assert caught.value.code == code


def test_an_address_that_is_taken_is_told():
    with listening("127.0.0.1", 0) as heard, pytest.raises(GopubError) as caught:
        listening("127.0.0.1", heard.getsockname()[1])
    assert caught.value.code == "GP977"


def test_a_folder_that_others_write_or_another_receiver_has_is_refused(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(GopubError) as caught:
        Keeper(tmp_path, most=1000)
    assert (caught.value.code, "others may write" in caught.value.problem) == ("GP976", True)
    tmp_path.chmod(0o755)
    first = Keeper(tmp_path, most=1000)
    with pytest.raises(GopubError) as caught:
        Keeper(tmp_path, most=1000)
    assert (caught.value.code, "another receiver" in caught.value.problem) == ("GP976", True)
    first.close()
    Keeper(tmp_path, most=1000).close()


def test_the_command_receives_until_it_is_told_to_end(tmp_path):
    folder, home = tmp_path / "logs", tmp_path / "home"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home), TOKEN: LONG}
    words = ("logs", "receive", "--dir", str(folder), "--listen", "127.0.0.1:0", "--service", "hello")
    argv = [sys.executable, "-c", WATCHED, *words]
    with subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr
        try:
            first = running.stderr.readline()
            url = re.search(r"http://127\.0\.0\.1:\d+/v1/logs", first)
            assert url, first
            sent = {"content-type": "application/json", "authorization": f"Bearer {LONG}"}
            with httpx.Client(timeout=120, trust_env=False) as http:
                assert http.post(url[0], content=text(LOST), headers=sent).json() == {}
                other = http.post(url[0], content=text(LOST, service="other"), headers=sent).json()
            assert other["partialSuccess"]["rejectedLogRecords"] == "1"
            running.send_signal(signal.SIGTERM)
            rest = running.stderr.read()
            running.wait(120)
        finally:
            running.kill()
    assert running.returncode == 0
    assert rest.splitlines()[-1] == "IMPORTED uvicorn"
    assert "records were refused" in rest
    assert {file.name for file in folder.iterdir()} == {".lock", "hello.jsonl"}
    assert json.loads((folder / "hello.jsonl").read_text())["resourceLogs"]
    assert not home.exists(), "nothing is set up in a user's home"
