"""The packages of an SBOM document, as a policy looks at them: name, version, purl, licences. Pure.

The document's own subject (what it is a list *of*) is no package of it. A licence is what the document concluded, and
what the package declares: both count where both are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from gopub.spec.licences import licence_expression

_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Package:
    """One package; ``licences`` are expressions that can be read: none means that it is unknown."""

    name: str
    version: str
    purl: str = ""
    licences: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What a policy may call it: its name, its purl without version, and the path in its purl."""
        bare = self.purl.partition("#")[0].partition("?")[0]
        at = bare.rfind("@")
        bare = unquote(bare[:at] if at > bare.rfind("/") else bare)
        return self.name, bare, bare.partition("/")[2]

    def __str__(self) -> str:
        """For people."""
        text = ascii(f"{self.name} {self.version}".strip())[1:-1]
        return text if len(text) <= 120 else f"{text[:117]}..."


def packages_of(form: str, document: Mapping[str, Any]) -> tuple[Package, ...] | None:
    """All packages of a document (spdx or cyclonedx); None where it is no such document."""
    entries = document.get("packages" if form == "spdx" else "components", [])
    if not isinstance(entries, list):
        return None
    try:
        made = _spdx(document, entries) if form == "spdx" else _cyclonedx(entries, _DEEPEST)
        return tuple(made)
    except (TypeError, KeyError, AttributeError):  # of another shape than the format says
        return None


def _spdx(document: Mapping[str, Any], entries: list[Any]) -> Iterator[Package]:
    subjects = set(document.get("documentDescribes", ()))
    for one in document.get("relationships", ()):
        if one.get("relationshipType") == "DESCRIBES" and one.get("spdxElementId") == "SPDXRef-DOCUMENT":
            subjects.add(one.get("relatedSpdxElement"))
    for entry in entries:
        if entry.get("SPDXID") in subjects:
            continue
        purl = next((ref["referenceLocator"] for ref in entry.get("externalRefs", ())
                     if ref.get("referenceType") == "purl"), "")  # fmt: skip
        said = (entry.get("licenseConcluded"), entry.get("licenseDeclared"))
        yield _package(entry["name"], entry.get("versionInfo"), purl, said)


def _cyclonedx(entries: list[Any], deepest: int) -> Iterator[Package]:
    if not deepest:
        raise TypeError
    for entry in entries:
        group = entry.get("group")
        name = f"{_text(group)}/{_text(entry['name'])}" if group else entry["name"]
        said = [choice.get("expression") or (choice.get("license") or {}).get("id") or "unnamed"
                for choice in entry.get("licenses") or ()]  # fmt: skip
        if entry.get("type") != "file":
            yield _package(name, entry.get("version"), entry.get("purl"), said)
        yield from _cyclonedx(entry.get("components") or [], deepest - 1)


def _package(name: Any, version: Any, purl: Any, said: Any) -> Package:
    read = [licence_expression(_text(one)) for one in said]
    return Package(_text(name), _text(version or ""), _text(purl or ""), tuple(dict.fromkeys(filter(None, read))))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError
    return value
