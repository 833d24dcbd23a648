"""What of a rendered file is masked where it is shown, and that a change of it is still seen."""

from __future__ import annotations

import base64

import pytest

from gopub.canon import Json
from gopub.fleet.vaulted import Vaulted
from gopub.telemetry import Redactor
from gopub.views.masking import MASK, difference, masked, secrets_of

SECRET = "Tr0ub4dor-and-3"


def known(*secrets: str) -> Redactor:
    made = Redactor()
    for one in secrets:
        made.learn(one)
    return made


@pytest.mark.parametrize(
    "line",
    [
        f"password: {SECRET}",
        f"  db_password: '{SECRET}'",
        f'{{"api_token": "{SECRET}", "port": 8080}}',
        f"API_KEY={SECRET}",
        f'Environment="DB_PASSWORD={SECRET}"',
        f'ExecStart=/opt/x/bin/x "--token" "{SECRET}"',
        f"ExecStart=/opt/x/bin/x --client-secret={SECRET} --port 8080",
        f"- client_secret: {SECRET}",
        f"db_pass = {SECRET}",
        f"pw: {SECRET}",
        f"dsn: postgres://app:{SECRET}@db/app",
        f"url = redis://:{SECRET}@cache:6379",
        f"set auth-token {SECRET}",
        f"credentials: [{SECRET}]",
        f"passphrase: {SECRET} # of the key",
    ],
)
def test_what_stands_behind_the_name_of_a_secret_is_masked(line: str) -> None:
    shown = masked([line], known())
    assert len(shown) == 1
    assert SECRET not in shown[0]
    assert MASK in shown[0]


@pytest.mark.parametrize(
    "text",
    [
        f"password: |\n  {SECRET}\n  {SECRET}\nport: 8080",
        f"tokens:\n  - {SECRET}\n\n  - {SECRET}\nport: 8080",
        f"secret:\n  deep:\n    deeper: {SECRET}\nport: 8080",
        f"key: |\n  -----BEGIN EC PRIVATE KEY-----\n  {SECRET}\n  -----END EC PRIVATE KEY-----\nport: 8080",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\nport: 8080",
    ],
)
def test_so_is_what_stands_in_the_lines_below_it_and_no_more(text: str) -> None:
    shown = masked(text.split("\n"), known())
    assert len(shown) == len(text.split("\n"))
    assert SECRET not in "\n".join(shown)
    assert shown[-1] == "port: 8080"


@pytest.mark.parametrize(
    "line", ["port: 8080", "passenger: ship", "compass: north", "url: http://db:5432/x", "monkey: 1"]
)
def test_other_lines_stay(line: str) -> None:
    assert masked([line], known()) == [line]


def test_a_value_of_the_inventory_is_masked_wherever_it_stands() -> None:
    variables: dict[str, Json] = {
        "db_password": SECRET, "port": 8080, "debug_token": True, "vaulted_secret": Vaulted("x"),
        "app": {"users": [{"name": "ann", "api_token": "0123456789"}]}, "secrets": {"a": ["one-of-several"]},
    }  # fmt: skip
    found = list(secrets_of(variables))
    assert found == [SECRET, "0123456789", "one-of-several"]
    lines = [f"who: {SECRET}", f"x: {base64.b64encode(SECRET.encode()).decode()}", "y: 0123456789", "z: one-of-several"]
    assert all(MASK in one for one in masked(lines, known(*found)))
    assert masked(lines, known()) == lines, "control: under harmless names nobody knows them"


def test_a_secret_that_changes_shows_that_it_does_and_nothing_else() -> None:
    old, new = f"port: 8080\npassword: {SECRET}\nlevel: info\n", "port: 8080\npassword: another-one\nlevel: info\n"
    shown = difference(old, new, known())
    assert shown == (
        "@@ -1,3 +1,3 @@", " port: 8080", f"-password: {MASK}", f"+password: {MASK}", " level: info",
    )  # fmt: skip


def test_the_value_of_before_is_masked_where_only_that_of_now_is_known() -> None:
    """The inventory holds the new one alone, and the name in the file is harmless."""
    shown = difference(f"a: 1\nwho: {SECRET}\n", "a: 1\nwho: the-new-secret\n", known("the-new-secret"))
    assert SECRET not in "\n".join(shown)
    assert f"-{MASK}" in shown
    plain = difference(f"a: 1\nwho: {SECRET}\n", "a: 1\nwho: the-new-secret\n", known())
    assert f"-who: {SECRET}" in plain, "control: without it the line is shown"


def test_hunks_are_those_of_a_unified_diff() -> None:
    old = "".join(f"line {n}\n" for n in range(40))
    new = old.replace("line 3\n", "line three\n").replace("line 30\n", "")
    assert difference(old, old, known()) == ()
    shown = difference(old, new, known())
    assert [line for line in shown if line.startswith("@@")] == ["@@ -1,7 +1,7 @@", "@@ -28,7 +28,6 @@"]
    assert [line for line in shown if line[0] in "+-"] == ["-line 3", "+line three", "-line 30"]
    assert difference("", "a\n", known()) == ("@@ -0,0 +1 @@", "+a")
