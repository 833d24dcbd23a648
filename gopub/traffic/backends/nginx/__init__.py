"""The Nginx+Lua edge: its files and its client."""

from gopub.traffic.backends.nginx.client import EdgeChannel, NginxRouter
from gopub.traffic.backends.nginx.files import EdgeLayout, edge_files

__all__ = ["EdgeChannel", "EdgeLayout", "NginxRouter", "edge_files"]
