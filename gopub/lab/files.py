"""The files of a lab, as text: what its hosts boot with and what its users read. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from gopub.lab.layout import LabHost, Layout
from gopub.lab.sigstore.layout import TRUST
from gopub.lab.sigstore.trust import connections as sigstore_connections

_ZONES = ("a", "b")


def host_files(layout: Layout, host: LabHost, *, public_key: str, host_key: str) -> Mapping[str, str]:
    """What makes a base root this host, path → text (without machine id: that one is drawn by the kernel's luck).

    Args:
        layout: the lab.
        host: one of its hosts.
        public_key: the lab's SSH key, as in authorized_keys.
        host_key: the host's own private key in OpenSSH form.
    """
    names = "".join(f"{h.address} {h.name}\n" for h in layout.hosts)
    return {
        "etc/hostname": f"{host.name}\n",
        "etc/hosts": f"127.0.0.1 localhost\n{layout.gateway} machine\n{names}",
        "etc/systemd/network/10-lab.network": network(layout, host),
        "etc/ssh/ssh_host_ed25519_key": host_key,
        "root/.ssh/authorized_keys": f"{public_key}\n",
    }


def network(layout: Layout, host: LabHost) -> str:
    """A static address and nothing that waits for a network the lab has not."""
    return (
        "[Match]\nName=host0\n\n"
        f"[Network]\nAddress={host.address}/24\nGateway={layout.gateway}\n"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    )


def inventory(layout: Layout) -> str:
    """The Ansible inventory: groups ``app`` and ``edge``, labels ``role`` and ``zone``."""
    lines = []
    for role, hosts in (("app", layout.apps), ("edge", layout.edges)):
        rows = [f"{h.name} ansible_host={h.address} zone={_zone(n)}" for n, h in enumerate(hosts)]
        lines += [f"[{role}]", *rows, "", f"[{role}:vars]", f"role={role}", ""]
    options = f"-o UserKnownHostsFile={layout.known_hosts}"
    shared = [
        "[all:vars]",
        "ansible_user=root",
        f"ansible_ssh_private_key_file={layout.key}",
        f"ansible_ssh_common_args='{options}'",
    ]
    return "\n".join([*lines, *shared]) + "\n"


def _zone(number: int) -> str:
    return _ZONES[number % len(_ZONES)]


def known_hosts(layout: Layout, keys: Mapping[str, str]) -> str:
    """Pinned keys, host name → public key; a host is known by its address and by its name."""
    return "".join(f"{h.address},{h.name} {keys[h.name]}\n" for h in layout.hosts)


def connections(layout: Layout) -> str:
    """The lab's connections by name, for a ``gopub.yaml`` that is released onto it."""
    sigstore = sigstore_connections(layout.stack / TRUST) if layout.sigstore else ""
    return sigstore + (
        f"lab: {{kind: inventory, path: {_quoted(layout.inventory)}}}\n"
        "edge-lab:\n"
        "  kind: nginx\n"
        "  inventory: lab\n"
        "  hosts: role=edge\n"
        "  socket: /run/gopub/edge.sock\n"
        "  metrics: prometheus-lab\n"
        "  logs: journald\n"
        f"prometheus-lab: {{kind: prometheus, url: {_quoted(layout.prometheus_url)}}}\n"
        "journald: {kind: journald}\n"
        f"ssh: {{kind: ssh, user: root, key: {_quoted(layout.key)}, known_hosts: {_quoted(layout.known_hosts)}}}\n"
    )


def prometheus(layout: Layout) -> str:
    """Prometheus' configuration: edges and application hosts every second, the targets in files beside it."""
    return (
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        "scrape_configs:\n"
        "  - job_name: edge\n"
        f"    file_sd_configs: [{{files: [{_quoted(layout.home / 'targets-edge.json')}], refresh_interval: 5s}}]\n"
        "  - job_name: apps\n"
        f"    file_sd_configs: [{{files: [{_quoted(layout.home / 'targets-apps.json')}], refresh_interval: 5s}}]\n"
    )


def edge_targets(layout: Layout) -> str:
    """Every edge's metrics; its label is ``edge``, because ``host`` means the host behind it."""
    groups = [{"targets": [f"{e.address}:9145"], "labels": {"edge": e.name}} for e in layout.edges]
    return json.dumps(groups, indent=1)


_EXAMPLE = {9102: {"app": "hello"}}
"""The label ``app`` says whose the Go runtime metrics are; only the example's port is known to be one app's."""


def app_targets(layout: Layout) -> str:
    """Every application host's metrics ports; one that does not listen only counts as a failed scrape."""
    groups = [
        {"targets": [f"{h.address}:{port}"], "labels": {"host": h.name} | _EXAMPLE.get(port, {})}
        for h in layout.apps
        for port in layout.app_ports
    ]
    return json.dumps(groups, indent=1)


def _quoted(value: object) -> str:
    return json.dumps(str(value))
