"""The names of the journal's streams."""

from __future__ import annotations


def stream_of(rollout: str) -> str:
    """The journal stream of a rollout."""
    return f"rollout/{rollout}"


def asked_of(rollout: str) -> str:
    """The stream in which people ask its driver for something."""
    return f"asked/{rollout}"


def told_of(rollout: str) -> str:
    """The stream of what people are told of a rollout, and what came of it."""
    return f"told/{rollout}"


def env_stream(app: str, env: str) -> str:
    """The journal stream of an (app, env)."""
    return f"env/{app}/{env}"


def build_stream(app: str, build: str) -> str:
    """The stream of one build of an app."""
    return f"build/{app}/{build}"
