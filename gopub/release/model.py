"""The release: a manifest whose id is its digest. Pure.

release.json holds all that a rollout needs beside the blobs it names: per target the archive, the binary, the
SBOMs and the evidence; per environment the effective spec, the templates and the unit. Its bytes are canonical
JSON; the release id is their SHA-256; the signature lies beside it, never in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from jsonschema import Draft202012Validator, ValidationError

from gopub.build.artifact import FileRef
from gopub.canon import Json, JsonError, canonical, read_json, sha256
from gopub.errors import RefusedError
from gopub.schemas import schema

SCHEMA = "gopub/release/v1"
LARGEST = 4 << 20
"""Bytes of a release.json."""
_LATEST = 1e11
"""Seconds since the epoch that are no time any more."""


@dataclass(frozen=True, slots=True)
class TargetFiles:
    """What was built for a target; ``evidence`` holds the bundles: archive, binary, provenance, sbom-<format>."""

    archive: FileRef
    binary: FileRef
    sboms: Mapping[str, FileRef]
    evidence: Mapping[str, FileRef]

    def all(self) -> tuple[FileRef, ...]:
        """Every file of the target."""
        return (self.archive, self.binary, *self.sboms.values(), *self.evidence.values())

    def to_json(self) -> dict[str, Json]:
        """As it stands in release.json."""
        return {
            "archive": self.archive.to_json(),
            "binary": self.binary.to_json(),
            "sboms": {name: ref.to_json() for name, ref in self.sboms.items()},
            "evidence": {name: ref.to_json() for name, ref in self.evidence.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(
            FileRef.from_json(data["archive"]),
            FileRef.from_json(data["binary"]),
            {name: FileRef.from_json(ref) for name, ref in data["sboms"].items()},
            {name: FileRef.from_json(ref) for name, ref in data["evidence"].items()},
        )


@dataclass(frozen=True, slots=True)
class EnvironmentFiles:
    """An environment as the commit describes it: effective spec, templates by the path they become, unit template."""

    spec: Mapping[str, Json]
    templates: Mapping[str, str]
    unit: str | None

    def to_json(self) -> dict[str, Json]:
        """As it stands in release.json."""
        return {"spec": self.spec, "templates": dict(self.templates), "unit": self.unit}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(data["spec"], data["templates"], data["unit"])


@dataclass(frozen=True, slots=True)
class Release:
    """One version of an app, built and described; ``created`` is seconds since the epoch.

    ``commit`` has 40 hex digits, or 64 in a repository with SHA-256.

    ``spec`` is the effective gopub.yaml without its environments.
    """

    app: str
    version: str
    commit: str
    repository: str
    created: float
    targets: Mapping[str, TargetFiles]
    environments: Mapping[str, EnvironmentFiles]
    spec: Mapping[str, Json]

    @property
    def release_id(self) -> str:
        """SHA-256 of the canonical manifest, 64 hex digits."""
        return sha256(self.manifest_bytes())

    def manifest(self) -> dict[str, Json]:
        """release.json as a value."""
        return {
            "schema": SCHEMA,
            "app": self.app,
            "version": self.version,
            "commit": self.commit,
            "repository": self.repository,
            "created": self.created,
            "targets": {text: files.to_json() for text, files in self.targets.items()},
            "environments": {name: files.to_json() for name, files in self.environments.items()},
            "spec": self.spec,
        }

    def manifest_bytes(self) -> bytes:
        """release.json as it is signed and kept."""
        return canonical(self.manifest())

    def files(self) -> tuple[FileRef, ...]:
        """Every file that release.json names, once each, by name."""
        named = {ref for target in self.targets.values() for ref in target.all()}
        return tuple(sorted(named, key=lambda ref: (ref.name, ref.digest)))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a manifest, strictly: canonical bytes, no unknown keys.

        Raises:
            RefusedError: GP322 with what is wrong.
        """
        value = _checked(data)
        return cls(
            app=value["app"],
            version=value["version"],
            commit=value["commit"],
            repository=value["repository"],
            created=value["created"],
            targets={text: TargetFiles.from_json(files) for text, files in value["targets"].items()},
            environments={name: EnvironmentFiles.from_json(files) for name, files in value["environments"].items()},
            spec=value["spec"],
        )


@dataclass(frozen=True, slots=True)
class SignedRelease:
    """A release as it lies in a store: its value, its exact bytes, and the bundle over them."""

    release: Release
    manifest: bytes
    bundle: bytes

    @property
    def release_id(self) -> str:
        """SHA-256 of the manifest."""
        return sha256(self.manifest)


def _checked(data: bytes) -> dict[str, Any]:
    try:
        value = read_json(data, limit=LARGEST)
    except JsonError as error:
        raise _wrong(f"it is not JSON that is read here: {error}") from None
    first = next(iter(Draft202012Validator(schema("release")).iter_errors(value)), None)
    if first is not None:
        raise _wrong(_told(first))
    # In Python a `$` also matches before a newline at the end.
    named = [value["app"], value["version"], value["commit"], *value["targets"]]
    if any("\n" in text for text in named) or value["created"] > _LATEST:
        raise _wrong("a name has a newline, or it was written in a far future")
    if canonical(value) != data:
        raise _wrong("its JSON is not canonical")
    return dict(value)


def _told(error: ValidationError) -> str:
    """What is wrong and where, in the words of the schema: nothing that the file says is repeated."""
    known = _names_in(schema("release"))
    path = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part if part in known else '*'}" for part in error.absolute_path
    )
    instance = cast("dict[str, Json]", error.instance)
    match error.validator:
        case "required":
            lacking = [name for name in cast("list[str]", error.validator_value) if name not in instance]
            said = f"{lacking[0]!r} is a required property"
        case "type":
            said = f"is not of type {error.validator_value!r}"
        case "additionalProperties":
            said = "has a property that is not known"
        case keyword:
            said = f"is not what `{keyword}` allows"
    return f"${path}: {said}"


def _names_in(value: Json) -> set[str]:
    """Every key of the schema, the names of properties among them."""
    if isinstance(value, Mapping):
        return set(value) | {name for inner in value.values() for name in _names_in(inner)}
    return {name for inner in value for name in _names_in(inner)} if isinstance(value, list) else set()


def _wrong(problem: str) -> RefusedError:
    return RefusedError("GP322", f"release.json is malformed: {problem}", hint="was it made by a newer gopub?")
