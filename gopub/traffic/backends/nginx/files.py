"""Every file of an edge, by the path where it belongs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from importlib.resources.abc import Traversable

from gopub.traffic.shapes import FILE as SCHEMA_FILE

_HERE = files("gopub.traffic.backends.nginx")
_NAMES = (
    "gopub-http.conf", "gopub-push.conf", "gopub-location.conf", "gopub-grpc-location.conf", "gopub-farewell.sh",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EdgeLayout:
    """Where an edge keeps its things and listens; each default stands word for word in the shipped files.

    ``data``, ``grpc`` and ``metrics`` say ``listen`` and a port, or ``address:port``. ``body`` is the largest body of a
    request, above which the edge answers 413. ``source`` are the lines that tell the watcher of a source.
    ``push`` includes the server that takes tables by mutual TLS, where there is one; ``certificates`` is their folder.
    """

    config: str = "/etc/nginx/gopub"
    state: str = "/var/lib/gopub/edge"
    socket: str = "/run/gopub/edge.sock"
    pid: str = "/run/nginx.pid"
    log: str = "/var/log/nginx"
    user: str = "user www-data;"
    data: str = "listen 80"
    metrics: str = "listen 9145"
    body: str = "client_max_body_size 1m"
    source: str = "kind none"
    push: str = "# No tables by mutual TLS."
    push_port: str = "listen 9443 ssl"
    certificates: str = "/etc/gopub/push"
    grpc: str = "listen 50051"

    def apply(self, text: str) -> str:
        """The text with each default replaced by this layout's value."""
        for field in fields(self):
            text = text.replace(str(field.default), getattr(self, field.name))
        return text


def edge_files(layout: EdgeLayout | None = None) -> Mapping[str, bytes]:
    """All files of a whole edge, ready to be written as root with mode 0644.

    Besides nginx (1.22 or later) the edge needs its Lua module, lua-cjson and curl.
    """
    chosen = layout or EdgeLayout()
    named = {
        "/etc/nginx/nginx.conf": _HERE / "nginx.conf",
        "/etc/systemd/system/nginx.service.d/gopub.conf": _HERE / "systemd.conf",
    }
    return {
        path: chosen.apply(source.read_text(encoding="utf-8")).encode()
        for path, source in {**named, **dict(_own_files(chosen.config))}.items()
    }


def _own_files(config: str) -> Iterator[tuple[str, Traversable]]:
    for name in _NAMES:
        yield f"{config}/{name}", _HERE / name
    for source in sorted((_HERE / "source").iterdir(), key=lambda entry: entry.name):
        yield f"{config}/source/{source.name}", source
    for module in sorted((_HERE / "lua" / "gopub").iterdir(), key=lambda entry: entry.name):
        if module.name.endswith(".lua"):
            yield f"{config}/lua/gopub/{module.name}", module
    yield f"{config}/lua/gopub/{SCHEMA_FILE}", files("gopub.traffic") / SCHEMA_FILE
