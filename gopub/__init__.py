"""gopub: signed, health-judged canary releases for Go services on plain Linux hosts."""

__version__ = "0.1.0"
