"""The key that signs orders: opened, and held against the list of roles."""

from __future__ import annotations

from functools import partial

from gopub.errors import RefusedError, UsageError
from gopub.evidence.keys import KeySigner, Signer
from gopub.evidence.roles import Role, load_roles
from gopub.fleet.protocol import OrderSigning
from gopub.fleet.signed import OrderKey


def open_order_key(signing: OrderSigning) -> OrderKey:
    """The key that signs orders to enrolled hosts.

    Raises:
        GopubError: GP300, GP301 it cannot be used; GP142 its passphrase is not where it is said to be; GP332, GP334 the
            list of roles cannot be read.
        RefusedError: GP483 the list names it no controller.
    """
    signer: Signer = KeySigner.load(signing.private, passphrase=_opens(signing))
    key = signer.public
    if signing.roles is not None:
        roles = load_roles(signing.roles).roles
        if key not in roles.of(Role.CONTROLLER):
            held = next((role for role, holder in roles.holders if holder == key), None)
            raise RefusedError(
                "GP483",
                f"key {key.fingerprint[:16]} of {signing.private} is no controller in list {roles.serial} of roles"
                + (f": it is {held}" if held else ""),
                hint="name the controller's key in `sign` of the ssh connection, or the list that has it",
            )
    return OrderKey(key.fingerprint, signer.sign, partial(open_order_key, signing))


def _opens(signing: OrderSigning) -> str | None:
    try:
        return signing.passphrase.reveal() if signing.passphrase else None
    except UsageError as error:  # at night a variable alone says nothing
        raise UsageError(error.code, f"the passphrase of {signing.private}, which signs orders: {error.problem}",
                         hint=error.hint) from error  # fmt: skip
