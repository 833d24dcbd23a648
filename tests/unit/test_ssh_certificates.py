"""Certificates of user gopub: for whom, for what and for how long, and what cannot certify."""

from __future__ import annotations

import base64
from pathlib import Path

import asyncssh
import pytest
from pydantic import ValidationError

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.fleet.backends.certificates import SshCertificate
from gopub.fleet.backends.ssh import Ssh
from gopub.fleet.enrolling import SHELL
from gopub.fleet.loginkey import make_login


def made(file: Path, lasts: str = "15m") -> SshCertificate:
    return SshCertificate.model_validate({"ca": file, "lasts": lasts}, context={"base": file.parent})


def test_a_certificate_is_for_one_user_one_command_and_minutes(tmp_path: Path) -> None:
    ca, now = make_login(tmp_path / "ca"), SystemClock().now()  # not a moment of the import: a whole run takes longer
    one, other = made(ca).pair(now), made(ca).pair(now)
    told = certificate_of(one)
    assert one.public_data != other.public_data, "each login has a key of its own"
    assert (told.principals, told.options) == (["gopub"], {"force-command": SHELL})
    told.validate(1, "gopub")  # of the type user
    with pytest.raises(ValueError, match="principal"):
        told.validate(1, "root")
    assert told.signing_key.public_data == asyncssh.read_private_key(str(ca)).public_data
    with pytest.raises(ValueError, match="expired"):
        certificate_of(made(ca).pair(now - 1000)).validate(1, "gopub")
    assert (told._valid_before - told._valid_after) == 900 + 300


def certificate_of(pair: asyncssh.SSHKeyPair) -> asyncssh.SSHCertificate:
    """As a server reads it."""
    return asyncssh.import_certificate(f"{pair.algorithm.decode()} {base64.b64encode(pair.public_data).decode()}")


@pytest.mark.parametrize("lasts", ["59s", "25h"])
def test_one_that_lasts_too_short_or_too_long_is_refused(tmp_path: Path, lasts: str) -> None:
    with pytest.raises(ValidationError, match="from a minute to a day"):
        made(tmp_path / "ca", lasts)


def test_what_cannot_certify_is_told(tmp_path: Path) -> None:
    (tmp_path / "junk").write_text("no key")
    for file in (tmp_path / "missing", tmp_path / "junk", tmp_path):
        with pytest.raises(GopubError, match="GP490"):
            made(file).pair(0.0)


def test_certificates_go_with_signed_orders_alone(tmp_path: Path) -> None:
    told = {"kind": "ssh", "certificate": {"ca": "ca"}}
    with pytest.raises(ValidationError, match="whose orders are signed"):
        Ssh.model_validate(told, context={"base": tmp_path})
    both = Ssh.model_validate({**told, "sign": {"key": "k"}}, context={"base": tmp_path})
    assert both.authority() == tmp_path / "ca"
    kept = both.model_dump(mode="json")
    assert Ssh.model_validate(kept) == both, "as a kit keeps it"
    assert "certificate" not in Ssh().model_dump(mode="json"), "an older gopub reads a kit without one"
