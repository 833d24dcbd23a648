"""What a secret looks like where it leaks: every spelling of it that a program, a library or a protocol makes."""

from __future__ import annotations

import base64
import json
import random
import shlex
import urllib.parse

import pytest

from gopub.telemetry import Redactor
from tests.support.pace import at_most

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
    assert (
        cleaned("deploy\nusers:\nhunter-2-hunter", "deploy says users: hunter-2-hunter")
        == "deploy says users: **********"
    )
    assert cleaned("deploy", "deploy says") == "********** says", "the control: it is all of the secret"


@pytest.mark.parametrize("shown", ["at MIGHAgEAMBMG0123 ends", json.dumps("MIGHAgEAMBMG0123"), "MIGHAgEAMBMG0123\n"])
def test_a_key_within_a_document_is_masked_by_its_lines(shown):
    document = json.dumps(
        {"type": "account", "key": "-----BEGIN KEY-----\nMIGHAgEAMBMG0123\n-----END KEY-----\n"}, indent=1
    )
    assert cleaned(document, shown) == shown.replace("MIGHAgEAMBMG0123", "**********")


@pytest.mark.parametrize("many", [0, 100], ids=["few", "many"])
def test_of_secrets_that_overlap_nothing_is_left(many):
    redactor = Redactor()
    for secret in (
        "abc-123-def",
        "123-def-456-789",
        "aaaaaab",
        *(f"filler-{number}-{number}" for number in range(many)),
    ):
        redactor.learn(secret)
    assert redactor.clean("<abc-123-def-456-789>") == "<**********>"
    assert redactor.clean("abc-123-def,abc-123-defabc-123-def.") == f"{'*' * 10},{'*' * 20}."
    assert redactor.clean("aaaaaaaab") == "aa**********"
    assert redactor.clean("abc-123-de 23-def-456-789") == "abc-123-de 23-def-456-789"


def test_a_long_file_of_secrets_makes_no_line_slow():
    """A line is gone through once, and not once for each of a thousand times as many spellings."""
    chance = random.Random(7)
    key = "\n".join(chance.randbytes(48).hex() for _ in range(3000))
    redactor, line = Redactor(), "an ordinary line of a log"
    redactor.learn(key)

    def cleans() -> None:
        assert {redactor.clean(line) for _ in range(20)} == {line}

    def one_by_one() -> None:
        assert not any(one in line for _ in range(20) for one in key.splitlines())

    at_most(1, cleans, than=one_by_one)
    assert redactor.clean(f"at {key.splitlines()[900]}!") == "at **********!"


def test_a_secret_that_is_no_utf_8_is_masked():
    secret = b"caf\xe9-of-secrets".decode(errors="surrogateescape")
    assert cleaned(secret, f"with {secret}") == "with **********"
    assert cleaned(secret, base64.b64encode(b"caf\xe9-of-secrets").decode()) == "**********"


@pytest.mark.parametrize(("before", "left"), [("", ""), ("a", "YX"), ("ab", "YWJ"), ("abc", "YWJj")])
@pytest.mark.parametrize("size", [12, 13, 14])
def test_in_base64_only_characters_that_the_bytes_around_it_share_are_left(before, left, size):
    secret = "s3cret-of-git!"[:size]
    sent = base64.b64encode(f"{before}{secret}@git.example.org".encode()).decode()
    assert cleaned(secret, sent).startswith(f"{left}**********")
    assert "**********" not in cleaned("another-secret", sent), "the control: a secret that is not in it masks nothing"
