"""The Nginx+Lua edge: its files and its client."""

from gopub.traffic.backends.nginx.client import Nginx, NginxRouter
from gopub.traffic.backends.nginx.files import EdgeLayout, edge_files

__all__ = ["EdgeLayout", "Nginx", "NginxRouter", "edge_files"]
