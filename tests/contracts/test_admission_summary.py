"""What an admission says is checked by gopub, by a shell with openssl, and by stock cosign: by all or by none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from gopub.errors import RefusedError
from gopub.evidence import summary as summaries
from gopub.evidence.frame import moment
from gopub.evidence.keys import KeySigner, PublicKey, generate
from gopub.evidence.summary import PREDICATE_TYPE, SignedSummary, Summary, read_summary, sign_summary
from gopub.process import base_environment, run
from tests.minio_server import program

GOOD = Summary(
    app="orders",
    env="prod",
    target="linux/amd64",
    release="1" * 64,
    archive="2" * 64,
    binary="3" * 64,
    policy="4" * 64,
    verified="2026-11-30T12:00:00Z",
    expires="2026-12-30T12:00:00Z",
    level="SLSA_BUILD_LEVEL_2",
    serial=84,
)
UNNUMBERED = replace(GOOD, serial=None)
OTHERS: dict[str, Any] = {
    "app": "billing",
    "env": "prod2",
    "target": "linux/arm64",
    "verified": "2026-11-30T12:00:01Z",
    "expires": "2036-12-30T12:00:00Z",
    "level": "SLSA_BUILD_LEVEL_3",
    "verifier": "gopub:admission2",
    "serial": 85,
} | dict.fromkeys(("release", "archive", "binary", "policy"), "5" * 64)
SCRIPT = Path(summaries.__file__).with_name("summary.sh")
RECORDED = Path(__file__).parents[1] / "cases" / "evidence"
SHELLS = (["dash"], ["bash", "--posix"], ["busybox", "sh"])


@pytest.fixture
def signer(tmp_path: Path) -> KeySigner:
    return generate(tmp_path / "keys").signer()


@pytest.fixture
def signed(signer: KeySigner) -> SignedSummary:
    return sign_summary(signer, GOOD)


def python(text: bytes, signer: KeySigner) -> str:
    """What gopub reads from it; empty where it refuses."""
    try:
        return read_summary(text).by(signer.public).lines
    except RefusedError:
        return ""


async def shell(argv: list[str], text: bytes, signer: KeySigner, folder: Path) -> str:
    """What the script prints; empty where it refuses."""
    (folder / "admission").write_bytes(text)
    (folder / "key.pem").write_bytes(signer.public.pem)
    done = await run([*argv, str(SCRIPT), str(folder / "admission"), str(folder / "key.pem")],
                     env=base_environment(), check=False)  # fmt: skip
    assert (done.code, done.err[:9]) in ((0, b""), (1, b"refused: ")), done
    return done.out.decode() if done.code == 0 else ""


async def cosign(bundle: bytes, signer: KeySigner, folder: Path) -> bool:
    """Whether stock cosign accepts it about the release.json, by its digest."""
    (folder / "bundle").write_bytes(bundle)
    (folder / "key.pem").write_bytes(signer.public.pem)
    argv = [str(program("cosign")), "verify-blob-attestation", "--key", str(folder / "key.pem"), "--bundle",
            str(folder / "bundle"), "--type", PREDICATE_TYPE, "--insecure-ignore-tlog", "--digest", GOOD.release,
            "--digestAlg", "sha256"]  # fmt: skip
    done = await run(argv, env={"HOME": str(folder)}, check=False)
    return done.code == 0


@pytest.mark.parametrize("argv", SHELLS, ids=lambda argv: argv[0])
async def test_all_accept_what_was_signed(
    signed: SignedSummary, signer: KeySigner, tmp_path: Path, argv: list[str]
) -> None:
    text = signed.text.encode()
    assert python(text, signer) == GOOD.lines
    assert await shell(argv, text, signer, tmp_path) == GOOD.lines
    assert await cosign(signed.bundle(signer.public), signer, tmp_path)


@pytest.mark.parametrize("argv", SHELLS, ids=lambda argv: argv[0])
async def test_one_without_a_serial_is_as_true_as_it_was(signer: KeySigner, tmp_path: Path, argv: list[str]) -> None:
    signed = sign_summary(signer, UNNUMBERED)
    assert "serial" not in signed.text
    assert python(signed.text.encode(), signer) == UNNUMBERED.lines
    assert await shell(argv, signed.text.encode(), signer, tmp_path) == UNNUMBERED.lines
    assert await cosign(signed.bundle(signer.public), signer, tmp_path)


async def test_a_serial_is_neither_taken_away_nor_put_in(
    signed: SignedSummary, signer: KeySigner, tmp_path: Path
) -> None:
    for before, after in ((signed, UNNUMBERED), (sign_summary(signer, UNNUMBERED), GOOD)):
        changed = SignedSummary(after, before.signature)
        assert python(before.text.encode(), signer) != "", "a control"
        assert python(changed.text.encode(), signer) == ""
        assert await shell(SHELLS[0], changed.text.encode(), signer, tmp_path) == ""
        assert not await cosign(changed.bundle(signer.public), signer, tmp_path)


@pytest.mark.parametrize("argv", SHELLS, ids=lambda argv: argv[0])
@pytest.mark.parametrize(("name", "said"), [("unnumbered", UNNUMBERED), ("numbered", GOOD)])
async def test_what_was_recorded_is_read_as_it_was_signed(
    tmp_path: Path, name: str, said: Summary, argv: list[str]
) -> None:
    """Signed once, by versions before and since there are serials, with a key that is gone."""
    text, key = (RECORDED / f"admission-{name}.txt").read_bytes(), (RECORDED / "admission.pub").read_bytes()
    assert read_summary(text).by(PublicKey.parse(key, name="admission.pub")) == said
    (tmp_path / "admission").write_bytes(text)
    (tmp_path / "key.pem").write_bytes(key)
    done = await run([*argv, str(SCRIPT), str(tmp_path / "admission"), str(tmp_path / "key.pem")],
                     env=base_environment(), check=False)  # fmt: skip
    assert (done.code, done.out.decode()) == (0, said.lines), done


@pytest.mark.parametrize("name", [one.name for one in fields(Summary)])
async def test_none_accepts_another_value(signed: SignedSummary, signer: KeySigner, tmp_path: Path, name: str) -> None:
    changed = SignedSummary(replace(GOOD, **{name: OTHERS[name]}), signed.signature)
    assert changed.summary != GOOD
    assert python(changed.text.encode(), signer) == ""
    assert await shell(SHELLS[0], changed.text.encode(), signer, tmp_path) == ""
    assert not await cosign(changed.bundle(signer.public), signer, tmp_path)


async def test_none_accepts_another_key(signed: SignedSummary, signer: KeySigner, tmp_path: Path) -> None:
    other = generate(tmp_path / "other").signer()
    assert python(signed.text.encode(), other) == ""
    assert await shell(SHELLS[0], signed.text.encode(), other, tmp_path) == ""
    assert not await cosign(signed.bundle(signer.public), other, tmp_path)


def broken(text: str) -> Iterator[tuple[str, str]]:
    """The lines, held in every way wrong that a hand or a store may think of."""
    lines = text.split("\n")
    yield "empty", ""
    yield "cut before the signature", "\n".join(lines[:-2])
    yield "without the empty line", "\n".join(lines[:-3] + lines[-2:])
    yield "two lines change places", "\n".join([lines[1], lines[0], *lines[2:]])
    yield "a line stands twice", "\n".join([lines[0], *lines])
    yield "a line more", "\n".join([*lines[:-3], "more=1", *lines[-3:]])
    yield "more after the signature", text + "x"
    yield "a line more after the signature", text + "x\n"
    yield "a second signature", text + lines[-2] + "\n"
    yield "no last line end", text.rstrip("\n")
    yield "line ends of Windows", text.replace("\n", "\r\n")
    yield "a space before a value", text.replace("app=", "app= ")
    yield "a space after a value", text.replace("app=orders", "app=orders ")
    yield "a quote in a value", text.replace("app=orders", 'app=or"ders')
    yield "JSON in a value", text.replace("app=orders", 'app=orders","env":"x')
    yield "a command in a value", text.replace("app=orders", "app=$(touch /tmp/x)")
    yield "a command in backquotes", text.replace("app=orders", "app=`id`")
    yield "a backslash", text.replace("app=orders", "app=or\\ders")
    yield "a letter that is not ASCII", text.replace("app=orders", "app=ordérs")
    yield "an empty value", text.replace("app=orders", "app=")
    yield "no equals sign", text.replace("app=orders", "app")
    yield "another name", text.replace("app=", "apq=")
    yield "a capital in a digest", text.replace("1" * 64, "A" + "1" * 63)
    yield "a short digest", text.replace("1" * 64, "1" * 63)
    yield "a long digest", text.replace("1" * 64, "1" * 65)
    yield "a signature of other letters", text.replace(lines[-2], "*")
    yield "a signature of nothing", text.replace(lines[-2], "AAAA")
    yield "no signature", text.replace(lines[-2], "")
    for serial in ("", "084", "-1", "8 4", "8.4", "1e3", "0x54", "2000000000000000", "9" * 17, "9" * 40, "many"):
        yield f"the serial {serial}", text.replace("serial=84", f"serial={serial}")
    yield "two serials", text.replace("serial=84", "serial=84\nserial=84")
    yield "the serial elsewhere", text.replace("serial=84\n", "").replace("level=", "serial=84\nlevel=")
    yield "an empty line for a serial", text.replace("serial=84", "")
    yield "bytes of nothing", text.replace("app=orders", "app=ord\0ers")


HELD = [name for name, _ in broken(GOOD.lines + "\nAAAA\n")]


@pytest.mark.parametrize("argv", SHELLS, ids=lambda argv: argv[0])
@pytest.mark.parametrize("name", HELD)
async def test_none_accepts_lines_that_are_held_wrong(
    signed: SignedSummary, signer: KeySigner, tmp_path: Path, name: str, argv: list[str]
) -> None:
    text = dict(broken(signed.text))[name].encode()
    assert text != signed.text.encode()
    assert python(text, signer) == ""
    assert await shell(argv, text, signer, tmp_path) == ""


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("app", "a b", "app is not of the letters"),
        ("app", "", "app is not of the letters"),
        ("app", "a\n", "app is not of the letters"),
        ("release", "1" * 63, "release is no SHA-256"),
        ("policy", "G" * 64, "policy is no SHA-256"),
        ("verified", "2026-11-30", "verified is no moment"),
        ("expires", "2026-02-30T12:00:00Z", "expires is no moment"),
        ("expires", "2026-1-30T12:00:00Z", "expires is no moment"),
        ("serial", -1, "serial is not from 0 to 1999999999999999"),
        ("serial", 2 * 10**15, "serial is not from 0 to 1999999999999999"),
    ],
)
def test_what_could_not_travel_is_never_signed(name: str, value: Any, why: str) -> None:
    with pytest.raises(RefusedError, match=f"GP319 .*{why}"):
        replace(GOOD, **{name: value})


def test_it_expires_at_its_moment_and_not_before() -> None:
    at = 1798632000.0
    assert moment(at) == GOOD.expires
    assert not GOOD.expired(at - 1)
    assert GOOD.expired(at)
