"""SLSA provenance v1: from which commit, with which tools and flags, which files were built. Pure.

The build type and its parameters are described in docs/reference/build-type.md.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gopub.canon import Json
from gopub.evidence.statement import Subject, statement
from gopub.source.modfile import Module

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "tag:gopub,2026:docs/reference/build-type.md"
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LONGEST_ID = 500
BUILDER_LOCAL = "tag:gopub,2026:docs/reference/build-type.md#builder-local"
"""The builder of releases that a local key signs: the machine of whoever runs gopub."""


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """What a build knows about itself; times are seconds since the epoch, ``mode`` is Go's ``-mod``.

    ``spec_file`` and ``main`` are relative to the repository. ``sandbox`` is what the commit was compiled and tested
    in, ``tests`` what its tests could reach.
    """

    repository: str
    ref: str
    commit: str
    spec_file: str
    main: str
    targets: tuple[str, ...]
    ldflags: str
    mode: str
    go_version: str
    go_digest: str
    modules: tuple[Module, ...]
    gopub_version: str
    invocation: str
    started: float
    finished: float
    sandbox: str = "none"
    tests: str = "none"
    made: tuple[str, ...] = ()
    """Of a program that Go does not build: the file, and the command that makes it, if one does."""
    trace: str = ""
    """The id of the trace that it was built in."""


def provenance(subjects: Sequence[Subject], facts: BuildFacts) -> dict[str, Json]:
    """The in-toto statement about all artifacts of one build."""
    return statement(subjects, PREDICATE_TYPE, predicate(facts))


def predicate(facts: BuildFacts) -> dict[str, Json]:
    """The SLSA predicate: parameters that a verifier compares, then what was used, then who and when."""
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "repository": facts.repository,
                "ref": facts.ref,
                "spec": facts.spec_file,
                **_what(facts),
                "targets": list(facts.targets),
            },
            "internalParameters": {
                **({} if facts.made else {"mod": facts.mode, "trimpath": True, "cgo": False}),
                "sandbox": facts.sandbox,
                "tests": facts.tests,
                **({"trace": facts.trace} if facts.trace else {}),
            },
            "resolvedDependencies": [_commit(facts), *([] if facts.made else _of_go(facts))],
        },
        "runDetails": {
            "builder": {"id": BUILDER_LOCAL, "version": {"gopub": facts.gopub_version}},
            "metadata": {
                "invocationId": facts.invocation,
                "startedOn": timestamp(facts.started),
                "finishedOn": timestamp(facts.finished),
            },
        },
    }


def commit_of(said: Mapping[str, Any]) -> str:
    """The git commit that a verified provenance statement names; empty when it names none or several."""
    dependencies = inside(said, "predicate", "buildDefinition", "resolvedDependencies")
    entries = dependencies if isinstance(dependencies, list) else []
    commits = {text for entry in entries for text in [inside(entry, "digest", "gitCommit")] if isinstance(text, str)}
    named = commits - {""}
    commit = named.pop() if len(named) == 1 else ""
    return commit if _COMMIT.fullmatch(commit) else ""


def builder_of(said: Mapping[str, Any]) -> str:
    """The builder's id in a verified provenance statement."""
    builder = inside(said, "predicate", "runDetails", "builder", "id")
    return builder if isinstance(builder, str) and builder.isprintable() and len(builder) <= _LONGEST_ID else ""


def inside(value: object, *path: str) -> object:
    """What stands there in a statement of any shape; None where it has no such place."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def build_type_of(said: Mapping[str, Any]) -> str:
    """The build type of a verified provenance statement."""
    return _text_at(said, "predicate", "buildDefinition", "buildType")


def source_of(said: Mapping[str, Any]) -> tuple[str, str]:
    """The repository and the ref that a verified provenance statement names; empty where it does not."""
    told = ("predicate", "buildDefinition", "externalParameters")
    return _text_at(said, *told, "repository"), _text_at(said, *told, "ref")


def finished_of(said: Mapping[str, Any]) -> float | None:
    """When the build of a verified provenance statement ended, seconds since the epoch; None where it does not say."""
    text = _text_at(said, "predicate", "runDetails", "metadata", "finishedOn")
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _text_at(value: object, *path: str) -> str:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""


def timestamp(moment: float) -> str:
    """RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _commit(facts: BuildFacts) -> Json:
    return {"uri": f"git+{facts.repository}@{facts.ref}", "digest": {"gitCommit": facts.commit}}


def _what(facts: BuildFacts) -> dict[str, Json]:
    """What Go was told to build, or what else is the program."""
    if facts.made:
        return {"file": facts.made[0], "command": list(facts.made[1:])}
    return {"main": facts.main, "ldflags": facts.ldflags}


def _of_go(facts: BuildFacts) -> list[Json]:
    return [_toolchain(facts), *map(_module, _named(facts.modules))]


def _toolchain(facts: BuildFacts) -> Json:
    return {
        "name": "go",
        "uri": f"pkg:golang/toolchain@go{facts.go_version}",
        "digest": {"sha256": facts.go_digest},
    }


def _module(module: Module) -> Json:
    # dirHash1 is in-toto's name for Go's h1 sums, in hex. The files of a vendored copy belong to the commit.
    uri = f"pkg:golang/{module.path}@{module.version}"
    digest = _h1(module.sum)
    return {"uri": uri, "digest": {"dirHash1": digest}} if digest else {"uri": uri}


def _named(modules: Sequence[Module]) -> list[Module]:
    return sorted(set(modules), key=lambda module: (module.path, module.version))


def _h1(text: str) -> str:
    try:
        return base64.b64decode(text.removeprefix("h1:"), validate=True).hex()
    except (binascii.Error, ValueError):
        return ""
