"""How a lab is laid out: names, addresses, files. Pure: the same name and numbers give the same lab.

Addresses come from 198.18.0.0/15, which is set aside for tests (RFC 2544), so no real network is shadowed.
``198.18.N.1`` is the machine's end of the bridge, ``.2`` to ``.9`` are edges, ``.11`` and up are application hosts.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gopub.canon import Json
from gopub.errors import GopubError, UsageError

NETWORK = ipaddress.ip_network("198.18.0.0/15")
MAX_HOSTS = 200
MAX_EDGES = 8
PROMETHEUS_PORT = 19090  # not 9090: a Prometheus of the machine's own may listen there on all addresses
_NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
_SUBNETS = NETWORK.num_addresses // 256


@dataclass(frozen=True, slots=True)
class LabHost:
    """One host of a lab: its name, its role (``app`` or ``edge``) and its address."""

    name: str
    role: str
    address: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A lab on paper: ``home`` is its state folder, ``subnet`` the first three numbers of its addresses."""

    name: str
    home: Path
    subnet: str
    hosts: tuple[LabHost, ...]
    app_ports: tuple[int, ...] = (9102,)
    owner: tuple[int, int] | None = None  # pid and start of a process that the lab must not outlive
    base: str = ""
    sigstore: bool = False
    version: int = field(default=1)

    @property
    def ident(self) -> str:
        """Five characters that tell this lab's links from those of every other lab on the machine."""
        return ident(self.home)

    @property
    def bridge(self) -> str:
        """The name of the lab's bridge."""
        return f"gopub-{self.ident}"

    @property
    def gateway(self) -> str:
        """The machine's own address on the bridge: hosts reach servers of the machine here."""
        return f"{self.subnet}.1"

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus listens; an address of the lab's own, so that labs never fight for a port."""
        return f"http://{self.gateway}:{PROMETHEUS_PORT}"

    @property
    def apps(self) -> tuple[LabHost, ...]:
        """The application hosts."""
        return tuple(h for h in self.hosts if h.role == "app")

    @property
    def edges(self) -> tuple[LabHost, ...]:
        """The edges."""
        return tuple(h for h in self.hosts if h.role == "edge")

    def host(self, name: str) -> LabHost:
        """The host of that name.

        Raises:
            UsageError: GP804 the lab has no such host.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        names = ", ".join(h.name for h in self.hosts)
        raise UsageError("GP804", f"lab {self.name!r} has no host {name!r}", hint=f"it has {names}")

    def machine(self, host: LabHost) -> str:
        """The host's name for systemd-nspawn; short enough for ``vb-`` before it to be a link name."""
        return f"{self.ident}-{host.name}"

    def cable(self, host: LabHost) -> str:
        """The machine's end of the host's virtual cable."""
        return f"vb-{self.machine(host)}"

    def folder(self, host: LabHost) -> Path:
        """Where the host's files and mounts lie."""
        return self.home / "hosts" / host.name

    def root(self, host: LabHost) -> Path:
        """The host's root folder, as this machine sees it."""
        return self.folder(host) / "root"

    @property
    def key(self) -> Path:
        """The lab's SSH key."""
        return self.home / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The pinned host keys."""
        return self.home / "known_hosts"

    @property
    def inventory(self) -> Path:
        """The Ansible inventory."""
        return self.home / "hosts.ini"

    @property
    def connections(self) -> Path:
        """The connections of the lab for gopub.yaml."""
        return self.home / "connections.yaml"

    @property
    def stack(self) -> Path:
        """Where the lab's Sigstore stack lies, if it has one."""
        return self.home / "sigstore"


def ident(home: Path) -> str:
    """Five hex digits of a state folder's path."""
    return hashlib.sha256(str(home).encode()).hexdigest()[:5]


def check_name(name: str) -> str:
    """The name, if a lab can have it.

    Raises:
        UsageError: GP803 it is no lab name.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            "GP803", f"{name!r} is no name for a lab", hint="use a-z, 0-9 and -, a letter first, at most 30"
        )
    return name


def place(hosts: int, edges: int, subnet: str) -> tuple[LabHost, ...]:
    """So many application hosts and edges on a subnet.

    Raises:
        UsageError: GP803 the numbers are out of range.
    """
    if not (0 <= hosts <= MAX_HOSTS and 0 <= edges <= MAX_EDGES and hosts + edges):
        raise UsageError(
            "GP803",
            f"a lab cannot have {hosts} hosts and {edges} edges",
            hint=f"at least one, at most {MAX_HOSTS} hosts and {MAX_EDGES} edges",
        )
    apps = (LabHost(f"app{n}", "app", f"{subnet}.{10 + n}") for n in range(1, hosts + 1))
    routers = (LabHost(f"edge{n}", "edge", f"{subnet}.{1 + n}") for n in range(1, edges + 1))
    return (*apps, *routers)


def free_subnet(home: Path, taken: Iterable[str]) -> str:
    """A /24 that no address of this machine lies in, the same one for the same lab while it is free.

    Args:
        home: the lab's state folder.
        taken: addresses with prefix length of the machine's links.

    Raises:
        GopubError: GP805 all are taken.
    """
    used = [ipaddress.ip_interface(text).network for text in taken]
    first = int(ident(home), 16)
    for step in range(_SUBNETS):
        base = NETWORK.network_address + 256 * ((first + step) % _SUBNETS)
        candidate = ipaddress.ip_network(f"{base}/24")
        if not any(candidate.overlaps(network) for network in used):
            return str(base).rpartition(".")[0]
    raise GopubError("GP805", f"no free subnet is left in {NETWORK}", hint="gopub lab down a lab that runs")


def to_json(layout: Layout) -> dict[str, Json]:
    """The layout as it stands in the state file."""
    return {
        "version": layout.version,
        "name": layout.name,
        "subnet": layout.subnet,
        "bridge": layout.bridge,
        "base": layout.base,
        "owner": layout.owner,
        "app_ports": layout.app_ports,
        "sigstore": layout.sigstore,
        "hosts": [{"name": h.name, "role": h.role, "address": h.address} for h in layout.hosts],
    }


def from_json(data: dict[str, Json], home: Path) -> Layout:
    """Read a state file back; raises KeyError, TypeError or ValueError on another format."""
    if data["version"] != 1:
        raise ValueError(data["version"])
    listed: list[dict[str, str]] = data["hosts"]  # type: ignore[assignment]
    owner: list[int] | None = data["owner"]  # type: ignore[assignment]
    return Layout(
        name=str(data["name"]),
        home=home,
        subnet=str(data["subnet"]),
        hosts=tuple(LabHost(h["name"], h["role"], h["address"]) for h in listed),
        app_ports=tuple(data["app_ports"]),  # type: ignore[arg-type]
        owner=(owner[0], owner[1]) if owner else None,
        base=str(data["base"]),
        sigstore=bool(data.get("sigstore", False)),
    )
