"""Linker flags with the version filled in: a sandboxed template in which an unknown name is an error. Pure.

The flags come with the commit. Some of the linker's make it start another program (``-extld``) or read and write files
of their choice (``-o``, ``-tmpdir``, ``-importcfg``); so only those pass that say something about the program itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gopub.errors import SpecError
from gopub.sandbox import TemplateFault, fill

ALWAYS = "-s -w"
"""No symbol table and no DWARF: what a release ships."""

_ALONE = frozenset({"s", "w", "bindnow", "checklinkname", "compressdwarf"})
_VALUED = frozenset({"X", "B", "D", "E", "H", "R", "T", "buildid", "extldflags"})
# Go's own rule: fields between blanks; a field that begins with a quote ends with it; no escapes.
_FIELD = re.compile(r"""[ \t]*(?:'([^']*)'(?=[ \t]|$)|"([^"]*)"(?=[ \t]|$)|([^ \t'"][^ \t]*))""")


def known_names(
    app: str, version: str = "0.0.0", commit: str = "0" * 40, commit_time: str = "1970-01-01T00:00:00Z"
) -> dict[str, str]:
    """What a template may name; the defaults stand in where there is no commit yet."""
    return {"app": app, "version": version, "commit": commit, "commit_time": commit_time}


def render_ldflags(template: str, values: Mapping[str, str]) -> str:
    """``-s -w`` and the spec's own flags with ``{{ version }}``, ``{{ commit }}`` and the like filled in.

    Raises:
        SpecError: GP225 when the template is wrong, with what it may use; GP232 a flag that does not pass.
    """
    try:
        flags = fill(template, values)
    except TemplateFault as fault:
        hint = f"known names: {', '.join(sorted(values))}"
        raise SpecError("GP225", f"{template!r} cannot be filled in: {fault}", hint=hint) from fault
    _check(flags)
    return f"{ALWAYS} {flags}".strip()


def _check(flags: str) -> None:
    fields = iter(_split(flags))
    for field in fields:
        name, equals, _ = re.sub(r"^--?(?=[^-])", "", field).partition("=")
        if not field.startswith("-") or name not in _ALONE | _VALUED:
            raise _refused(field)
        if name in _VALUED and not equals and next(fields, None) is None:
            raise SpecError("GP232", f"the linker flag {field!r} has no value", hint='write "-X main.version=1"')


def _split(flags: str) -> list[str]:
    fields, at = [], 0
    text = flags.rstrip(" \t")
    while at < len(text):
        match = _FIELD.match(text, at)
        if match is None:
            hint = "quote a whole value: '-X main.a=b c'"
            raise SpecError("GP232", f"the quotes in {flags!r} do not match", hint=hint)
        fields.append(next(part for part in match.groups() if part is not None))
        at = match.end()
    return fields


def _refused(field: str) -> SpecError:
    known = ", ".join(f"-{name}" for name in sorted(_ALONE | _VALUED))
    return SpecError("GP232", f"{field!r} is no linker flag that a release is built with", hint=f"these are: {known}")
