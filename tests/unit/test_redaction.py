"""What a secret looks like where it leaks: every spelling of it that a program, a library or a protocol makes."""

from __future__ import annotations

import base64
import json
import shlex
import urllib.parse

import pytest

from gopub.telemetry import Redactor

SECRET = 'correct "horse" \\ battery/staple'
KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgExample0Example1
Example2Example3Example4Example5
-----END PRIVATE KEY-----
"""


def cleaned(secret: str, text: str) -> str:
    redactor = Redactor()
    redactor.learn(secret)
    return redactor.clean(text)


@pytest.mark.parametrize(
    "spelt",
    [
        SECRET,
        json.dumps({"password": SECRET}),
        repr([SECRET]),
        shlex.join(["login", SECRET]),
        urllib.parse.quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_is_masked_however_it_is_quoted(spelt):
    assert "**********" in cleaned(SECRET, f"refused: {spelt}!")
    assert "horse" not in cleaned(SECRET, f"refused: {spelt}!")


@pytest.mark.parametrize("user", ["", "a", "ab", "bob", "anna"])
@pytest.mark.parametrize("rest", ["", "@", "@git", "\n"])
def test_a_login_in_a_header_shows_nothing_of_its_password(user, rest):
    sent = base64.b64encode(f"{user}:s3cret-of-git{rest}".encode()).decode()
    shown = cleaned("s3cret-of-git", f"Authorization: Basic {sent}").partition("Basic ")[2]
    left = shown.replace("**********", "")
    assert len(left) <= 4 * (len(user) + len(rest) + 5) // 3, shown
    assert cleaned("another-secret", sent) == sent, "the control: a secret that is not in it masks nothing"


def test_each_line_of_a_key_is_masked_and_its_frame_stays():
    lines = KEY.splitlines()
    assert [cleaned(KEY, line) for line in lines] == [lines[0], "**********", "**********", lines[-1]]
    assert cleaned(KEY, json.dumps(KEY)).count("Example") == 0


def test_words_stay():
    assert cleaned("short", "a short answer") == "a short answer"
    assert cleaned("one\ntwo\nthree-and-more", "two and one") == "two and one"
