"""Ways to reach hosts: one module each. ``ssh`` is asyncssh over OpenSSH servers."""

from gopub.fleet.backends.ssh import SshFleet

__all__ = ["SshFleet"]
