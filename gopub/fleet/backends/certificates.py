"""SSH certificates of user gopub, made here for each login: minutes later a stolen one opens nothing."""

from __future__ import annotations

import secrets

import asyncssh
from pydantic import BaseModel, ConfigDict, model_validator

from gopub.errors import GopubError
from gopub.fleet.enrolling import SHELL, USER
from gopub.spec.fields import Seconds, refuse
from gopub.spec.kinds import LocalPath

SHORTEST, LONGEST = 60.0, 24 * 3600.0
"""Seconds for which a certificate may hold."""
BACK = 300.0
"""Seconds that a certificate holds before now: clocks of hosts are not ours."""


class SshCertificate(BaseModel):
    """Certificates for user gopub in the place of a standing key; each login has one of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ca: LocalPath
    """The SSH private key that makes them; enrolled hosts believe its public half."""
    lasts: Seconds = 900.0
    """For how long each holds: from a minute to a day. A connection that stands goes on."""

    @model_validator(mode="after")
    def _bounded(self) -> SshCertificate:
        if not SHORTEST <= self.lasts <= LONGEST:
            raise refuse("GP490", "a certificate lasts from a minute to a day", "write lasts: 15m")
        return self

    def pair(self, now: float) -> asyncssh.SSHKeyPair:
        """A key of this moment with its certificate: for user gopub alone, for one command, without a terminal.

        Raises:
            GopubError: GP490 the authority's key cannot be used.
        """
        try:
            ca = asyncssh.import_private_key(self.ca.read_bytes())
        except (OSError, ValueError, RuntimeError, asyncssh.Error) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise GopubError(
                "GP490", f"the key {str(self.ca)!r}, which is to certify logins, cannot be used: {why}",
                hint="make one without a passphrase: ssh-keygen -t ed25519 -N '' -f FILE",
            ) from error  # fmt: skip
        key = asyncssh.generate_private_key("ssh-ed25519")
        certificate = ca.generate_user_certificate(
            key, f"gopub-{secrets.token_hex(4)}", serial=secrets.randbits(63), principals=[USER],
            valid_after=int(now - BACK), valid_before=int(now + self.lasts), force_command=SHELL,
            permit_x11_forwarding=False, permit_agent_forwarding=False, permit_port_forwarding=False,
            permit_pty=False, permit_user_rc=False,
        )  # fmt: skip
        return asyncssh.load_keypairs([(key, certificate)])[0]


def insist_signed(certificate: SshCertificate | None, *, signed: bool) -> None:
    """Insist that certificates go with signed orders: they open enrolled hosts alone.

    Raises:
        PydanticCustomError: GP490 for the loader, which knows the place.
    """
    if certificate and not signed:
        raise refuse("GP490", "certificates let in user gopub of enrolled hosts, whose orders are signed",
                     "add sign: {key: FILE, roles: FILE}")  # fmt: skip
