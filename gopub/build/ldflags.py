"""Linker flags with the version filled in: a Jinja2 sandbox in which an unknown name is an error. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gopub.errors import SpecError

ALWAYS = "-s -w"
"""No symbol table and no DWARF: what a release ships."""


def render_ldflags(template: str, values: Mapping[str, str]) -> str:
    """``-s -w`` and the spec's own flags with ``{{ version }}``, ``{{ commit }}`` and the like filled in.

    Raises:
        SpecError: GP225 when the template is wrong, with what it may use.
    """
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    try:
        flags = environment.from_string(template).render(values)
    except TemplateError as error:
        raise SpecError(
            "GP225",
            f"build.ldflags {template!r}: {error}",
            hint=f"known names: {', '.join(sorted(values))}",
        ) from error
    return f"{ALWAYS} {flags}".strip()
