"""The Nginx+Lua edge: its files and its client."""

from gopub.traffic.backends.nginx.client import NginxRouter
from gopub.traffic.backends.nginx.files import EdgeLayout, edge_files

__all__ = ["EdgeLayout", "NginxRouter", "edge_files"]
