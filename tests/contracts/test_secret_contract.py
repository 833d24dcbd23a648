"""What every way to a secret must do: give it whole, tell an absent one by its place, and show nothing of it."""

from __future__ import annotations

import base64
import io
import logging
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from gopub.errors import GopubError
from gopub.spec.connections import parse_connections
from gopub.spec.kinds import Kinds, SecretRef
from gopub.telemetry import log
from gopub.wiring.backends import BACKENDS


def whole() -> tuple[str, ...]:
    """Secrets of many shapes, other ones at each call: what was revealed is masked from then on in this process."""
    return (
        word(),
        f"  {word()} with spaces at both ends  ",
        f"{word()}\ntwo lines\n\nand one that is empty",
        f"{word()}'\"\\$HOME `x` {{{{ y }}}} %s",
        f"{word()}-ünïcode-☃",
        f"-----BEGIN {word()}-----\n{base64.encodebytes(secrets.token_bytes(120)).decode()}-----END KEY-----",
        word() * 40,
    )


def word() -> str:
    """Sixteen characters that stand nowhere else."""
    return secrets.token_hex(8)


@dataclass
class SecretGround:
    """A way to a secret, as a connection refers to it, and the place that it leads to."""

    ref: SecretRef
    put: Callable[[str], None]
    """Let this be there from now on."""
    clear: Callable[[], None]
    """Let nothing be there."""
    place: str
    """What tells people where it lies."""


def referred(text: str, folder: Path, kinds: Kinds = BACKENDS) -> SecretRef:
    """How connections.yaml refers to a secret."""
    made = parse_connections(f"m: {{kind: prometheus, url: 'http://p', token: {text}}}\n", "c.yaml", folder, kinds)
    found = made["m"].token  # type: ignore[attr-defined]
    assert isinstance(found, SecretRef)
    return found


@contextmanager
def heard() -> Iterator[io.StringIO]:
    """All that is said meanwhile: what is logged by whatever level, and what is printed."""
    said, root = io.StringIO(), logging.getLogger()
    handler, before = logging.StreamHandler(said), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with redirect_stdout(said), redirect_stderr(said):
            yield said
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


class SecretContract:
    """The suite; a subclass gives ``ground``, at first with nothing there."""

    def test_it_comes_whole(self, ground: SecretGround) -> None:
        for secret in whole():
            ground.put(secret)
            assert ground.ref.reveal() == secret

    def test_one_that_was_changed_is_the_new_one(self, ground: SecretGround) -> None:
        first, second, *_ = whole()
        ground.put(first)
        ground.ref.reveal()
        ground.put(second)
        assert ground.ref.reveal() == second

    def test_an_absent_one_is_told_by_its_place_and_with_what_to_do(self, ground: SecretGround) -> None:
        ground.put(gone := whole()[0])
        assert ground.ref.open() == gone
        ground.clear()
        with pytest.raises(GopubError) as caught:
            ground.ref.reveal()
        assert caught.value.code == "GP142"
        assert ground.place in caught.value.problem
        assert caught.value.hint
        assert gone not in str(caught.value)

    def test_an_empty_one_is_an_absent_one(self, ground: SecretGround) -> None:
        ground.put("")
        with pytest.raises(GopubError, match="GP142") as caught:
            ground.ref.reveal()
        assert ground.place in caught.value.problem

    def test_where_it_lies_is_told_and_nothing_of_it_is_shown(self, ground: SecretGround) -> None:
        assert ground.place in str(ground.ref)
        for secret in whole():
            ground.put(secret)
            ground.ref.reveal()
            shown = f"{ground.ref!r} {ground.ref} {ground.ref.model_dump()} {ground.ref.model_dump_json()}"
            assert begin(secret) not in shown

    def test_reading_it_says_nothing_of_it(self, ground: SecretGround) -> None:
        ground.put(secret := whole()[0])
        with heard() as said:
            ground.ref.open()  # not known as a secret yet: nothing would mask it
            ground.ref.reveal()
        assert secret not in said.getvalue()

    def test_it_is_masked_in_every_log_from_then_on(self, ground: SecretGround) -> None:
        for secret in whole():
            ground.put(secret)
            with heard() as before:
                log("contract").warning("got %s", secret)
            ground.ref.reveal()
            with heard() as after:
                log("contract").warning("got %s and %s", secret, base64.b64encode(secret.encode()).decode())
            assert begin(secret) in before.getvalue(), "control: nobody knows it yet"
            assert begin(secret) not in after.getvalue()
            assert after.getvalue().count("**********") == 2

    def test_whoever_refers_to_the_same_place_refers_to_the_same(self, ground: SecretGround) -> None:
        assert ground.ref == type(ground.ref).model_validate(ground.ref.model_dump(exclude_none=True))


def begin(secret: str) -> str:
    """Its first word of letters and digits, which looks the same however it is written."""
    return re.findall(r"[0-9a-f]{16}", secret)[0]


class TestVariable(SecretContract):
    KIND = "env"

    @pytest.fixture
    def ground(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SecretGround:
        monkeypatch.delenv("GOPUB_TEST_SECRET", raising=False)
        return SecretGround(
            referred("{env: GOPUB_TEST_SECRET}", tmp_path),
            lambda secret: monkeypatch.setenv("GOPUB_TEST_SECRET", secret),
            lambda: monkeypatch.delenv("GOPUB_TEST_SECRET"),
            "GOPUB_TEST_SECRET",
        )


class TestFile(SecretContract):
    KIND = "file"

    @pytest.fixture
    def ground(self, tmp_path: Path) -> SecretGround:
        path = tmp_path / "the secret"
        return SecretGround(
            referred("{file: the secret}", tmp_path),
            lambda secret: path.write_text(secret) and None,
            path.unlink,
            str(path),
        )

    def test_the_end_of_its_last_line_is_no_part_of_it(self, ground: SecretGround) -> None:
        secret = whole()[2]
        for end in ("\n", "\r\n", "\n\n"):
            ground.put(secret + end)
            assert ground.ref.reveal() == secret

    def test_bytes_that_are_no_text_are_told_and_not_shown(self, ground: SecretGround, tmp_path: Path) -> None:
        (tmp_path / "the secret").write_bytes(b"hunter2\xffhunter2")
        with pytest.raises(GopubError, match=r"GP142 .* cannot be read: not UTF-8") as caught:
            ground.ref.reveal()
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__, "the context would show it"
