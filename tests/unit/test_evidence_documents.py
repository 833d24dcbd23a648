"""Provenance and SBOM documents as data."""

from typing import Any

import pytest

from gopub.build.buildinfo import BuildInfo
from gopub.canon import canonical
from gopub.errors import GopubError
from gopub.evidence.provenance import BUILD_TYPE, BuildFacts, builder_of, commit_of, provenance
from gopub.evidence.sbom import check_complete, even_out
from gopub.evidence.statement import Subject, subject_digests
from gopub.source.modfile import Module

FACTS = BuildFacts(
    repository="https://git.example.org/hello",
    ref="v1.0.0",
    commit="c" * 40,
    spec_file="gopub.yaml",
    main=".",
    targets=("linux/amd64",),
    ldflags="-s -w",
    mode="readonly",
    go_version="1.26.8",
    go_digest="d" * 64,
    modules=(Module("example.org/b", "v1.0.0", "h1:AAAA"), Module("example.org/a", "v2.0.0")),
    gopub_version="0.1.0",
    invocation="urn:uuid:0",
    started=0.0,
    finished=61.5,
)


def test_provenance_names_commit_toolchain_and_modules() -> None:
    said = provenance([Subject("x", "a" * 64), Subject("w", "b" * 64)], FACTS)
    definition: Any = said["predicate"]
    definition = definition["buildDefinition"]
    assert definition["buildType"] == BUILD_TYPE
    assert definition["resolvedDependencies"] == [
        {"uri": "git+https://git.example.org/hello@v1.0.0", "digest": {"gitCommit": "c" * 40}},
        {"name": "go", "uri": "pkg:golang/toolchain@go1.26.8", "digest": {"sha256": "d" * 64}},
        {"uri": "pkg:golang/example.org/a@v2.0.0"},
        {"uri": "pkg:golang/example.org/b@v1.0.0", "digest": {"dirHash1": "000000"}},
    ]
    assert subject_digests(said) == {"a" * 64, "b" * 64}
    assert (commit_of(said), builder_of(said).partition("#")[0]) == ("c" * 40, BUILD_TYPE)


def test_times_are_rfc3339_in_utc() -> None:
    run: Any = provenance([], FACTS)["predicate"]
    assert run["runDetails"]["metadata"]["finishedOn"] == "1970-01-01T00:01:01Z"


@pytest.mark.parametrize("said", [{}, {"predicate": {}}, {"predicate": {"buildDefinition": {}}}])
def test_a_provenance_without_commit_names_none(said: dict[str, Any]) -> None:
    assert (commit_of(said), builder_of(said)) == ("", "")


def spdx(created: str, namespace: str, *names: str) -> dict[str, Any]:
    return {
        "spdxVersion": "SPDX-2.3",
        "documentNamespace": namespace,
        "creationInfo": {"created": created, "creators": ["Tool: syft-1.18.1"]},
        "packages": [{"name": name} for name in names],
    }


def cyclonedx(stamp: str, serial: str, *names: str) -> dict[str, Any]:
    return {
        "bomFormat": "CycloneDX",
        "serialNumber": serial,
        "metadata": {"timestamp": stamp, "component": {}},
        "components": [{"name": name} for name in names],
    }


@pytest.mark.parametrize(("name", "make"), [("spdx", spdx), ("cyclonedx", cyclonedx)])
def test_what_differs_from_run_to_run_is_settled(name: str, make: Any) -> None:
    first = even_out(name, make("2026-01-01", "run-1", "stdlib"), app="hello", moment=0)
    second = even_out(name, make("2027-01-01", "run-2", "stdlib"), app="hello", moment=0)
    other = even_out(name, make("2027-01-01", "run-2", "stdlib", "planted"), app="hello", moment=0)
    assert canonical(first) == canonical(second) != canonical(other)
    key = {"spdx": "documentNamespace", "cyclonedx": "serialNumber"}[name]
    assert first[key] != other[key]
    assert "1970-01-01T00:00:00Z" in canonical(first).decode()


@pytest.mark.parametrize(("name", "make"), [("spdx", spdx), ("cyclonedx", cyclonedx)])
def test_an_sbom_that_lacks_a_module_is_refused(name: str, make: Any) -> None:
    info = BuildInfo("1.26.8", "example.org/hello", None, (Module("example.org/a", "v1"),))
    check_complete(name, make("", "", "stdlib", "example.org/a"), info)
    with pytest.raises(GopubError, match=r"GP303 .*lacks 1 of 2 modules of the binary: example\.org/a"):
        check_complete(name, make("", "", "stdlib"), info)
