"""Policies as data: whose certificate, which packages and licences, how old; refused, accepted or told, and why."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gopub.evidence import AdmissionFacts, AdmissionPolicy, ProvenanceFacts, TargetFacts, admit
from gopub.evidence.claims import Build, Claims, Clock, Naming, SignedAt
from gopub.evidence.contents import SKEW, ContentPolicy
from gopub.evidence.origin import SourcePolicy
from gopub.evidence.packages import Package, packages_of
from gopub.evidence.provenance import BUILD_TYPE, BUILDER_LOCAL, finished_of
from gopub.evidence.signers import IdentityRule
from gopub.spec.forbidden import forbidden
from gopub.spec.licences import denied_licence, is_denied, licence_expression

ARCHIVE, BINARY, COMMIT, KEY = "a" * 64, "b" * 64, "c" * 40, "d" * 64
HOME, TAG = "https://gitlab.corp/trade/orders", "refs/tags/v1.0.0"
NOW = 1_800_000_000.0
DAY = 86400.0
CI = f"{HOME}//.gitlab-ci.yml@{TAG}"
RULE = IdentityRule(f"{HOME}//.gitlab-ci.yml@refs/tags/v*", "https://gitlab.corp", "corp")
CLAIMS = Claims(
    CI,
    Naming.URI,
    "https://gitlab.corp",
    (SignedAt(datetime.fromtimestamp(NOW - DAY, UTC), Clock.TSA),),
    "corp",
    Build(source_repository_uri=HOME, source_repository_ref=TAG, source_repository_digest=COMMIT),
)
NET = Package("golang.org/x/net", "v0.20.0", "pkg:golang/golang.org/x/net@v0.20.0", ("BSD-3-Clause",))
UNKNOWN = Package("github.com/x/y", "v1.4.1+incompatible", "pkg:golang/github.com/x/y@v1.4.1%2Bincompatible")
TARGET = TargetFacts(
    "linux/amd64", ARCHIVE, BINARY, {"archive": "", "binary": ""}, {"spdx": ""}, {"spdx": (NET, UNKNOWN)}
)
SAID = ProvenanceFacts("", frozenset({ARCHIVE, BINARY}), COMMIT, BUILDER_LOCAL, BUILD_TYPE, HOME, TAG, NOW - 2 * DAY)
BY_KEY = AdmissionFacts(
    "orders", "1.0.0", "e" * 64, COMMIT, "prod", "", KEY, (TARGET,), SAID, environments=("prod",), now=NOW
)
KEYLESS = replace(BY_KEY, signer=CLAIMS.signer, claims=CLAIMS)
SOURCES = SourcePolicy((HOME,), ("refs/tags/v*",), "said")
POLICY = AdmissionPolicy(accepted_keys=(KEY,), identities=(RULE,), sources=SOURCES)


def failed(facts: AdmissionFacts, policy: AdmissionPolicy = POLICY) -> dict[str, str]:
    return {check.name: check.reason for check in admit(facts, policy).checks if not check.passed}


def asks(**what: Any) -> AdmissionPolicy:
    return replace(POLICY, contents=ContentPolicy(**what))


def build(**what: str) -> AdmissionFacts:
    return replace(KEYLESS, claims=replace(CLAIMS, build=replace(CLAIMS.build, **what)))


@pytest.mark.parametrize("facts", [BY_KEY, KEYLESS], ids=["key", "keyless"])
def test_one_of_several_signers_is_enough(facts: AdmissionFacts) -> None:
    assert failed(facts) == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"identity": CI.replace("tags/v1", "heads/v1")}, "the identity"),
        ({"identity": CI + "/x"}, "the identity"),
        ({"identity": "https://evil/" + CI}, "the identity"),
        ({"issuer": "https://gitlab.com"}, "the issuer"),
        ({"trust": "public"}, "certified in 'public', and not in corp"),
        ({"trust": ""}, "certified in"),
    ],
)
def test_a_certificate_of_somebody_else_is_refused(change: dict[str, str], reason: str) -> None:
    refused = failed(replace(KEYLESS, claims=replace(CLAIMS, **change)))
    assert list(refused) == ["signer"]
    assert reason in refused["signer"]


def test_a_certificate_is_nobody_where_only_keys_are_accepted_and_the_other_way_round() -> None:
    assert "only keys" in failed(KEYLESS, replace(POLICY, identities=()))["signer"]
    assert list(failed(BY_KEY, replace(POLICY, accepted_keys=()))) == ["signer"]
    named_so = replace(KEYLESS, signer=KEY)
    assert list(failed(named_so, replace(POLICY, identities=()))) == ["signer"], "a name is no key"


def test_the_source_is_the_certificates_word_and_not_the_statements() -> None:
    lie = build(source_repository_uri="https://gitlab.corp/evil/fork")
    assert set(failed(lie)) == {"source", "certificate"}
    assert "evil/fork" in failed(lie)["source"]
    assert set(failed(build(source_repository_uri=""))) == {"source"}, "what it does not say is not accepted"


@pytest.mark.parametrize(
    "what", [{"source_repository_ref": "refs/tags/v2"}, {"source_repository_digest": "9" * 40}], ids=["ref", "commit"]
)
def test_a_statement_that_says_otherwise_than_its_certificate_is_refused_also_where_it_is_only_told(
    what: dict[str, str],
) -> None:
    admission = admit(build(**what), replace(POLICY, warn=True))
    assert [reason.partition(":")[0] for reason in admission.reasons] == ["certificate"]


def test_a_builder_is_one_of_the_patterns() -> None:
    here = replace(BY_KEY, provenance=replace(SAID, builder="https://gitlab.corp/runner/7"))
    assert failed(here, replace(POLICY, builders=("https://gitlab.corp/runner/*",))) == {}
    assert list(failed(here, replace(POLICY, builders=("https://gitlab.corp/*",)))) == ["builder"]
    assert list(failed(here)) == ["builder"]


@pytest.mark.parametrize("hidden", ["\n", "\0", "\u202e"])
def test_a_builder_with_what_cannot_be_seen_is_none(hidden: str) -> None:
    policy = replace(POLICY, builders=("https://ci.corp/*",))
    for name, refused in (("https://ci.corp/a", []), (f"https://ci.corp/a{hidden}", ["builder"])):
        assert list(failed(replace(BY_KEY, provenance=replace(SAID, builder=name)), policy)) == refused


def test_what_nobody_checked_beside_a_keys_signature_is_told() -> None:
    told = {one.name: one.reason for one in admit(replace(BY_KEY, unchecked=("log entry",)), POLICY).checks}
    assert told["signer"].endswith("is accepted in prod; its log entry was not checked")
    assert "not checked" not in {one.name: one.reason for one in admit(BY_KEY, POLICY).checks}["signer"]


def test_formats_must_be_there_and_good() -> None:
    assert failed(BY_KEY, asks(formats=("spdx",))) == {}
    assert failed(BY_KEY, asks(formats=("spdx", "cyclonedx"))) == {"formats": "linux/amd64 has no good cyclonedx SBOM"}


@pytest.mark.parametrize(
    ("entry", "hit"),
    [
        ("github.com/x/y@<1.4.2", True),
        ("github.com/x/y@<1.4.1", False),
        ("github.com/x/y@1.4.1", True),
        ("github.com/x/y@>=v1.4.0,<v1.4.1", False),
        ("pkg:golang/github.com/x/y@<1.4.2", True),
        ("GitHub.com/X/y", True),
        ("github.com/x/y/v2", False),
        ("github.com/x/*", True),
        ("github.com/*", False),
        ("github.com/**", True),
        ("pkg:npm/github.com/x/y", False),
    ],
)
def test_a_forbidden_package_is_found_by_name_and_version(entry: str, hit: bool) -> None:
    refused = failed(BY_KEY, asks(forbid=(forbidden(entry),)))
    assert list(refused) == (["forbidden"] if hit else [])
    if hit:
        assert "github.com/x/y v1.4.1+incompatible is forbidden" in refused["forbidden"]


@pytest.mark.parametrize(
    ("version", "hit"),
    [
        ("v1.4.2-0.20240101000000-abcdefabcdef", True),
        ("v0.0.0-20240101000000-abcdefabcdef", True),
        ("v1.4.2", False),
        ("1.4.10", False),
        ("v1.4.2-rc.1", True),
        ("(devel)", None),
        ("", None),
    ],
)
def test_versions_of_go_modules_are_ordered(version: str, hit: bool | None) -> None:
    assert forbidden("x@<1.4.2").hits(version) is hit


def test_a_version_that_nobody_can_compare_is_refused() -> None:
    odd = replace(TARGET, packages={"spdx": (replace(UNKNOWN, version="(devel)"),)})
    assert (
        "nobody can compare"
        in failed(replace(BY_KEY, targets=(odd,)), asks(forbid=(forbidden("github.com/x/y@<1"),)))["forbidden"]
    )


def test_several_forbidden_packages_are_all_told() -> None:
    entries = (forbidden("github.com/x/y"), forbidden("golang.org/x/net@<0.23.0"))
    reason = failed(BY_KEY, asks(forbid=entries))["forbidden"]
    assert "github.com/x/y" in reason
    assert "golang.org/x/net v0.20.0" in reason


def test_unknown_licences_are_refused_and_it_says_how_many() -> None:
    reason = failed(BY_KEY, asks(deny=("AGPL-3.0-only",)))["licences"]
    assert reason == (
        "1 of 2 packages have no licence that is known (NOASSERTION in the SBOM): github.com/x/y v1.4.1+incompatible"
    )


def test_a_licence_that_one_of_the_documents_knows_is_known_and_a_denied_one_in_any_is_denied() -> None:
    both = replace(TARGET, packages={"spdx": (NET, UNKNOWN), "cyclonedx": (replace(UNKNOWN, licences=("MIT",)),)})
    facts = replace(BY_KEY, targets=(both,))
    assert failed(facts, asks(deny=("AGPL-*",))) == {}
    assert "has MIT, which is denied" in failed(facts, asks(deny=("AGPL-*", "MIT")))["licences"]


@pytest.mark.parametrize(
    ("expression", "deny", "denied"),
    [
        ("AGPL-3.0", "AGPL-3.0-only", True),
        ("agpl-3.0-only", "AGPL-3.0", True),
        ("GPL-2.0+", "GPL-2.0-or-later", True),
        ("AGPL-3.0-or-later", "AGPL-3.0-only", False),
        ("AGPL-3.0-or-later", "AGPL-*", True),
        ("MIT OR AGPL-3.0-only", "AGPL-*", False),
        ("MIT AND AGPL-3.0-only", "AGPL-*", True),
        ("(MIT AND AGPL-3.0-only) OR AGPL-3.0-only", "AGPL-*", True),
        ("MIT OR (Zlib AND AGPL-3.0-only)", "AGPL-*", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only", True),
    ],
)
def test_what_an_expression_comes_to(expression: str, deny: str, denied: bool) -> None:
    read = licence_expression(expression)
    assert read is not None
    assert is_denied(read, (denied_licence(deny),)) is denied


@pytest.mark.parametrize(
    "text", ["NOASSERTION", "NONE", "", "LicenseRef-ours", "AGPLv3", "((MIT", "MIT " * 500, "(" * 400]
)
def test_what_nobody_can_read_is_unknown(text: str) -> None:
    assert licence_expression(text) is None


def test_without_a_list_to_look_into_nothing_is_proven() -> None:
    bare = replace(BY_KEY, targets=(replace(TARGET, packages={}),))
    broken = replace(BY_KEY, targets=(replace(TARGET, packages={"spdx": None}),))
    for facts in (bare, broken):
        assert set(failed(facts, asks(deny=("MIT",), forbid=(forbidden("x"),)))) == {"licences", "forbidden"}


@pytest.mark.parametrize(
    ("facts", "age", "words"),
    [
        (KEYLESS, DAY, "1d old, by a timestamp authority"),
        (BY_KEY, 2 * DAY, "2d old, by the provenance"),
    ],
    ids=["verified time", "the builder's word"],
)
def test_the_age_is_told_by_whoever_knows_and_the_limit_is_sharp(facts: AdmissionFacts, age: float, words: str) -> None:
    kept = {check.name: check.reason for check in admit(facts, replace(POLICY, fresh=age)).checks}
    assert words in kept["fresh"]
    assert failed(facts, replace(POLICY, fresh=age)) == {}
    assert list(failed(facts, replace(POLICY, fresh=age - 1))) == ["fresh"]


def test_a_statement_does_not_make_a_signature_younger() -> None:
    fresh = replace(KEYLESS, provenance=replace(SAID, finished=NOW))
    assert list(failed(fresh, replace(POLICY, fresh=DAY - 1))) == ["fresh"]


@pytest.mark.parametrize(("ahead", "refused"), [(SKEW, []), (SKEW + 1, ["fresh"])])
def test_the_future_is_refused_but_for_what_clocks_differ_by(ahead: float, refused: list[str]) -> None:
    facts = replace(BY_KEY, provenance=replace(SAID, finished=NOW + ahead))
    assert list(failed(facts, replace(POLICY, fresh=DAY))) == refused


def test_nobody_says_when() -> None:
    facts = replace(BY_KEY, provenance=replace(SAID, finished=None))
    assert "nobody says" in failed(facts, replace(POLICY, fresh=DAY))["fresh"]


def test_the_earliest_verified_time_counts() -> None:
    later = SignedAt(CLAIMS.times[0].at + timedelta(hours=23), Clock.LOG)
    facts = replace(KEYLESS, claims=replace(CLAIMS, times=(later, *CLAIMS.times)))
    assert list(failed(facts, replace(POLICY, fresh=DAY - 1))) == ["fresh"]


def test_a_warning_tells_what_the_policy_asks_and_refuses_nothing() -> None:
    policy = replace(
        POLICY,
        warn=True,
        fresh=1.0,
        builders=("tag:other",),
        sources=SourcePolicy(("https://x",), (), "said"),
        contents=ContentPolicy(("cyclonedx",), (forbidden("github.com/x/y"),), ("MIT",)),
    )
    admission = admit(BY_KEY, policy)
    assert admission.accepted
    assert {one.partition(":")[0] for one in admission.warnings} == {
        "builder", "source", "formats", "forbidden", "licences", "fresh",
    }  # fmt: skip
    told: Any = admission.to_json()["checks"]
    assert {one["name"] for one in told if one.get("warned")} == {w.partition(":")[0] for w in admission.warnings}
    assert not admit(BY_KEY, replace(policy, warn=False)).accepted, "the control"


@pytest.mark.parametrize(
    ("gate", "fault"),
    [
        ("signature", {"manifest": "GP311 x"}),
        ("signer", {"signer": "f" * 64}),
        ("artifacts", {"targets": (replace(TARGET, signatures={}),)}),
        ("provenance", {"provenance": replace(SAID, subjects=frozenset())}),
        ("commit", {"commit": "9" * 40}),
        ("archives", {"archives": ("damaged",)}),
        ("environment", {"env": "x"}),
        ("quarantine", {"quarantined": {BINARY: "bad"}}),
    ],
)
def test_what_is_never_safe_is_refused_although_the_policy_only_warns(gate: str, fault: dict[str, Any]) -> None:
    admission = admit(replace(BY_KEY, **fault), replace(POLICY, warn=True))
    assert [one.partition(":")[0] for one in admission.reasons] == [gate]


SPDX = {
    "packages": [
        {"SPDXID": "root", "name": "orders", "licenseConcluded": "NOASSERTION"},
        {
            "SPDXID": "n", "name": "golang.org/x/net", "versionInfo": "v0.20.0", "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "bsd-3-clause",
            "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:golang/golang.org/x/net@v0.20.0"}],
        },
    ],
    "relationships": [
        {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "root"}
    ],
}  # fmt: skip
CYCLONEDX = {
    "components": [
        {"type": "file", "name": "/orders"},
        {
            "name": "net", "group": "golang.org/x", "version": "v0.20.0", "purl": NET.purl,
            "licenses": [{"license": {"id": "BSD-3-Clause"}}],
            "components": [{"name": "inner", "version": "1", "licenses": [{"license": {"name": "GNU Affero"}}]}],
        },
    ]
}  # fmt: skip


def test_packages_are_read_from_both_formats() -> None:
    assert packages_of("spdx", SPDX) == (NET,)
    assert packages_of("cyclonedx", CYCLONEDX) == (NET, Package("inner", "1"))


@pytest.mark.parametrize(
    "document",
    [
        {"packages": {}},
        {"packages": [1]},
        {"packages": [{}]},
        {"packages": [{"name": 1}]},
        {"packages": [], "relationships": [1]},
    ],
)
def test_a_document_of_another_shape_is_none(document: dict[str, Any]) -> None:
    assert packages_of("spdx", document) is None


def test_lists_within_lists_end() -> None:
    deep: dict[str, Any] = {"name": "x"}
    for _ in range(30):
        deep = {"name": "x", "components": [deep]}
    assert packages_of("cyclonedx", {"components": [deep]}) is None


@pytest.mark.parametrize(
    ("text", "at"), [("2027-01-15T08:00:00Z", NOW), ("2027-01-15T08:00:00", None), ("soon", None), (7, None)]
)
def test_when_a_build_ended(text: object, at: float | None) -> None:
    assert finished_of({"predicate": {"runDetails": {"metadata": {"finishedOn": text}}}}) == at
