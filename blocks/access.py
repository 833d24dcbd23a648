"""Hosts, how they are reached, and the key that signs what they run."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, SecretStr

from blocks.connection import DOCUMENTATION, ConnectionBlock
from gopub.evidence.backends import key as key_pair
from gopub.fleet.backends import ssh
from gopub.fleet.inventory.backends import ansible
from gopub.spec.kinds import Connection


class Inventory(ConnectionBlock):
    """An Ansible inventory.

    Example:
        ```python
        from blocks import Inventory

        inventory = Inventory.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "gopub inventory"
    _block_type_slug = "gopub-inventory"
    _documentation_url = DOCUMENTATION
    connection: ClassVar[type[Connection]] = ansible.Inventory

    path: str = Field(description="The file, on each worker.")


class SshAccess(ConnectionBlock):
    """How hosts are reached; the worker's ~/.ssh/config fills in what is left out.

    Example:
        ```python
        from blocks import SshAccess

        access = SshAccess.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "gopub SSH access"
    _block_type_slug = "gopub-ssh"
    _documentation_url = DOCUMENTATION
    connection: ClassVar[type[Connection]] = ssh.Ssh

    user: str | None = Field(None, description="The user.")
    port: int | None = Field(None, description="The port.")
    key: str | None = Field(None, description="The file with the private key, on each worker.")
    known_hosts: str | None = Field(None, description="The file with the pinned host keys, on each worker.")
    sudo: bool = Field(False, description="Whether the host program is run through sudo.")
    proxy_jump: str | None = Field(None, description="A bastion.")
    sign: dict[str, Any] | None = Field(
        None, description="What signs orders to enrolled hosts: key, passphrase and roles, as in connections.yaml."
    )
    certificate: dict[str, Any] | None = Field(
        None, description="What lets user gopub in, in the place of a standing key: ca and lasts."
    )


class SigningKey(ConnectionBlock):
    """A key pair that signs releases.

    Example:
        ```python
        from blocks import SigningKey

        key = SigningKey.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "gopub signing key"
    _block_type_slug = "gopub-key"
    _documentation_url = DOCUMENTATION
    connection: ClassVar[type[Connection]] = key_pair.Key

    private: SecretStr = Field(description="The private key (PEM).")
    public: str = Field(description="The file with the public key (PEM), on each worker.")
    passphrase: SecretStr | None = Field(None, description="What opens the private key, where it has a passphrase.")
