"""Linker flags with the version filled in: a sandboxed template in which an unknown name is an error. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gopub.errors import SpecError
from gopub.sandbox import TemplateFault, fill

ALWAYS = "-s -w"
"""No symbol table and no DWARF: what a release ships."""


def known_names(
    app: str, version: str = "0.0.0", commit: str = "0" * 40, commit_time: str = "1970-01-01T00:00:00Z"
) -> dict[str, str]:
    """What a template may name; the defaults stand in where there is no commit yet."""
    return {"app": app, "version": version, "commit": commit, "commit_time": commit_time}


def render_ldflags(template: str, values: Mapping[str, str]) -> str:
    """``-s -w`` and the spec's own flags with ``{{ version }}``, ``{{ commit }}`` and the like filled in.

    Raises:
        SpecError: GP225 when the template is wrong, with what it may use.
    """
    try:
        flags = fill(template, values)
    except TemplateFault as fault:
        hint = f"known names: {', '.join(sorted(values))}"
        raise SpecError("GP225", f"{template!r} cannot be filled in: {fault}", hint=hint) from fault
    return f"{ALWAYS} {flags}".strip()
