"""Admission: the good release enters; each single fault closes exactly its own gate."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gopub.evidence import AdmissionFacts, AdmissionPolicy, ProvenanceFacts, TargetFacts, admit
from gopub.evidence.origin import SourcePolicy
from gopub.evidence.provenance import BUILD_TYPE, BUILDER_LOCAL

ARCHIVE, BINARY, COMMIT, KEY = "a" * 64, "b" * 64, "c" * 40, "d" * 64
TARGET = TargetFacts("linux/amd64", ARCHIVE, BINARY, {"archive": "", "binary": ""}, {"spdx": ""})
HOME, TAG = "https://git.example.org/team/hello", "refs/tags/v1.0.0"
SAID = ProvenanceFacts("", frozenset({ARCHIVE, BINARY}), COMMIT, BUILDER_LOCAL, BUILD_TYPE, HOME, TAG)
GOOD = AdmissionFacts(
    "hello", "1.0.0", "e" * 64, COMMIT, "prod", "", KEY, (TARGET,), SAID, environments=("lab", "prod")
)
SOURCES = SourcePolicy(("git@git.example.org:team/hello.git",), ("refs/tags/v*",), "the remote")
POLICY = AdmissionPolicy(accepted_keys=(KEY,), targets=("linux/amd64",), sources=SOURCES)


def closed(facts: AdmissionFacts, policy: AdmissionPolicy = POLICY) -> list[str]:
    return [check.name for check in admit(facts, policy).checks if not check.passed]


def test_a_good_release_enters() -> None:
    admission = admit(GOOD, POLICY)
    assert admission.accepted
    assert admission.reasons == ()
    assert len(admission.checks) == 12


FAULTS: list[tuple[str, Mapping[str, Any], str]] = [
    ("signature", {"manifest": "GP311 not its signature"}, "GP311 not its signature"),
    ("signer", {"signer": "f" * 64}, "key ffffffffffffffff is not accepted in prod"),
    ("artifacts", {"targets": (replace(TARGET, signatures={"archive": "", "binary": "GP312 x"}),)}, "binary: GP312"),
    ("artifacts", {"targets": (replace(TARGET, signatures={"archive": ""}),)}, "no signature of the binary"),
    ("provenance", {"provenance": replace(SAID, subjects=frozenset({BINARY}))}, "the archive of linux/amd64 is not"),
    ("provenance", {"provenance": replace(SAID, subjects=frozenset({ARCHIVE}))}, "the binary of linux/amd64 is not"),
    ("builder", {"provenance": replace(SAID, builder="tag:elsewhere")}, "builder 'tag:elsewhere' is not accepted"),
    ("builder", {"provenance": replace(SAID, build_type="tag:elsewhere")}, "build type 'tag:elsewhere' is not gopub's"),
    ("builder", {"provenance": replace(SAID, build_type="")}, "build type unknown is not gopub's"),
    ("source", {"provenance": replace(SAID, repository="https://git.example.org/evil/hello")}, "evil/hello', and not"),
    ("source", {"provenance": replace(SAID, repository="")}, "an unknown place, and not from git@git.example.org"),
    ("source", {"provenance": replace(SAID, ref="refs/heads/v1.0.0")}, "'refs/heads/v1.0.0', and not at refs/tags/v*"),
    ("archives", {"archives": ("hello.tar.gz: GP341 x",)}, "hello.tar.gz: GP341 x"),
    ("commit", {"commit": "9" * 40}, "release.json says 999999999999, the provenance cccccccccccc"),
    ("commit", {"provenance": replace(SAID, commit="")}, "the provenance nothing"),
    ("sbom", {"targets": (replace(TARGET, sboms={}),)}, "linux/amd64 has no SBOM"),
    ("sbom", {"targets": (replace(TARGET, sboms={"spdx": "GP313 x"}),)}, "linux/amd64 spdx: GP313 x"),
    ("environment", {"env": "staging"}, "does not describe staging (only lab, prod)"),
    ("quarantine", {"quarantined": {BINARY: "5xx on canary"}}, "bbbbbbbbbbbb was taken back: 5xx on canary"),
    ("quarantine", {"quarantined": {"e" * 64: "slow"}}, "eeeeeeeeeeee was taken back: slow"),
]


@pytest.mark.parametrize(("gate", "fault", "reason"), FAULTS)
def test_each_fault_closes_its_own_gate_and_says_why(gate: str, fault: Mapping[str, Any], reason: str) -> None:
    facts = replace(GOOD, **fault)
    assert closed(facts) == [gate]
    (told,) = admit(facts, POLICY).reasons
    assert told.startswith(f"{gate}: ")
    assert reason in told


def test_a_provenance_that_does_not_hold_names_no_source_either() -> None:
    facts = replace(GOOD, provenance=replace(SAID, complaint="GP311 x"))
    assert closed(facts) == ["provenance", "source"]
    assert "provenance: GP311 x" in admit(facts, POLICY).reasons


def test_what_restricts_the_source_is_told_where_nothing_does() -> None:
    told = {check.name: check.reason for check in admit(GOOD, replace(POLICY, sources=SourcePolicy())).checks}
    assert told["source"] == f"built from '{HOME}' at '{TAG}'; the repository is not restricted"


def test_a_host_kind_without_a_build_is_refused() -> None:
    assert closed(GOOD, replace(POLICY, targets=("linux/amd64", "linux/arm64"))) == ["target"]


def test_a_policy_without_keys_accepts_nobody() -> None:
    assert closed(GOOD, replace(POLICY, accepted_keys=())) == ["signer"]


def test_a_release_without_targets_proves_nothing() -> None:
    assert "provenance" in closed(replace(GOOD, targets=()), replace(POLICY, targets=()))


def test_all_faults_are_told_at_once() -> None:
    facts = replace(GOOD, manifest="GP311 x", env="staging", commit="9" * 40)
    assert closed(facts) == ["signature", "commit", "environment"]
