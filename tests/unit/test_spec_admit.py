"""What `admit` may hold: good policies as they are read, and bad ones, each refused with its own page at its place."""

from pathlib import Path

import pytest

from gopub.errors import ErrorGroup, SpecError
from gopub.release.environments import effective
from gopub.spec.loader import parse_spec
from gopub.spec.models import Environment

ROOT = Path(__file__).parents[2]
BASE = "app: orders\nenvironments:\n  prod:\n    inventory: a.ini\n    hosts: a\n    health: http://127.0.0.1:8080/\n"
CI = 'identity: "https://gitlab.corp/trade/orders//.gitlab-ci.yml@refs/tags/v*"'
WHOLE = f"""\
    admit:
      signed: [{{{CI}, issuer: https://gitlab.corp, trust: sigstore-corp}}, {{key: release.pub}}]
      provenance: {{builder: "https://ci.corp/*", repository: "https://gitlab.corp/trade/*", ref: "refs/tags/v*"}}
      sbom: {{formats: [spdx], forbid: ["github.com/x/y@<1.4.2"], licences: {{deny: [agpl-3.0-only, "GPL-*"]}}}}
      fresh: 30d
      mode: warn
"""

BAD = [
    ("signed: []", 7, "GP329", "the list is empty"),
    ("sbom: {formats: []}", 14, "GP329", "the list is empty"),
    ("sbom: {forbid: []}", 14, "GP329", "the list is empty"),
    ("sbom: {licences: {deny: []}}", 25, "GP329", "the list is empty"),
    ("signed: [{}]", 16, "GP327", "it names nobody"),
    ("signed: [{issuer: https://gitlab.corp, trust: t}]", 16, "GP327", "`identity` is missing"),
    ("signed: [{identity: a@b.corp, trust: t}]", 16, "GP327", "`issuer` is missing"),
    ("signed: [{identity: a@b.corp, issuer: https://b.corp}]", 16, "GP327", "`trust` is missing"),
    ("signed: [{key: k, identity: a@b.corp, issuer: https://b.corp, trust: t}]", 22, "GP327", "a key stands beside"),
    ("key: k\n      signed: [{key: j}]", 12, "GP327", "`signed` says"),
    ("signed: [{key: k}, {key: k}]", 26, "GP134", "the same stands before"),
    ("signed: release.pub", 15, "GP116", "must be a list"),
    ("signed: [release.pub]", 16, "GP116", "must be a mapping"),
    ("signed: [{keys: k}]", 17, "GP114", "not a known key"),
    (r"signed: [{identity: '^https://x/.*$', issuer: https://x, trust: t}]", 27, "GP328", "like a regular expression"),
    (r"signed: [{identity: 'https://x/v\d', issuer: https://x, trust: t}]", 27, "GP328", "like a regular expression"),
    (r"signed: [{identity: 'https://x/.*', issuer: https://x, trust: t}]", 27, "GP328", "like a regular expression"),
    (r"signed: [{identity: 'https://x/(a|b)', issuer: https://x, trust: t}]", 27, "GP328", "like a regular expression"),
    (r"signed: [{identity: '**', issuer: https://x, trust: t}]", 27, "GP328", "is everybody"),
    (r"signed: [{identity: 'a b', issuer: https://x, trust: t}]", 27, "GP328", "no pattern"),
    (r"signed: [{identity: a, issuer: x.corp, trust: t}]", 38, "GP328", "not the address of an issuer"),
    (r"signed: [{identity: a, issuer: 'https://*.corp', trust: t}]", 38, "GP328", "not the address of an issuer"),
    ("provenance: {ref: 'refs/tags/v.+'}", 25, "GP328", "like a regular expression"),
    ("provenance: {repository: 'https://git.corp/(a|b)'}", 32, "GP328", "like a regular expression"),
    ("provenance: {builder: '*'}", 29, "GP328", "is everybody"),
    ("sbom: {formats: [swid]}", 24, "GP118", "is not allowed"),
    ("sbom: {forbid: ['github.com/x/y@<']}", 23, "GP330", "no condition on a version"),
    ("sbom: {forbid: ['github.com/x/y@']}", 23, "GP330", "ends where a version"),
    ("sbom: {forbid: ['github.com/x/y@~1.2']}", 23, "GP330", "no condition on a version"),
    ("sbom: {forbid: ['**']}", 23, "GP330", "names no package"),
    ("sbom: {licences: {deny: [AGPL]}}", 32, "GP331", "not the id of a licence"),
    ("sbom: {licences: {deny: ['*']}}", 32, "GP331", "not the id of a licence"),
    ("sbom: {licences: {deny: ['MIT OR Zlib']}}", 32, "GP331", "not the id of a licence"),
    ("sbom: {licences: [MIT]}", 14, "GP116", "must be a mapping"),
    ("fresh: 30", 14, "GP101", "has no unit"),
    ("fresh: 0d", 14, "GP121", "too short"),
    ("statement: {lasts: 59s}", 26, "GP121", "a minute at the least"),
    ("statement: {lasts: 3651d}", 26, "GP121", "ten years at the most"),
    ("statement: {lasts: 9999999d}", 26, "GP121", "ten years at the most"),
    ("provenance: {level: 4}", 27, "GP121", "level"),
    ("roles: {file: roles}", 7, "GP115", "root"),
    ("roles: roles", 14, "GP116", "must be a mapping"),
    ("mode: audit", 13, "GP118", "is not allowed"),
]


def environment(text: str) -> Environment:
    return parse_spec(BASE + text, "gopub.yaml").spec.environments["prod"]


@pytest.mark.parametrize(("text", "column", "code", "words"), BAD, ids=[text for text, *_ in BAD])
def test_a_bad_policy_is_refused_at_its_place(text: str, column: int, code: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        environment(f"    admit:\n      {text}\n")
    error = caught.value
    assert not isinstance(error, ErrorGroup), error.errors
    assert error.where is not None
    assert (error.code, error.where.line, error.where.col) == (code, 8, column)
    assert words in error.problem
    assert error.hint
    assert (ROOT / f"docs/errors/{code}.md").is_file()


def test_a_good_policy_is_read_and_carried_by_a_release_as_it_was_written() -> None:
    read = environment(WHOLE)
    assert read.admit.fresh == 30 * 86400
    assert read.admit.sbom.licences.deny == ("AGPL-3.0-only", "GPL-*")
    assert Environment.model_validate(effective(read)).admit == read.admit


def test_a_release_says_nothing_of_what_was_not_written_so_that_an_older_gopub_reads_it() -> None:
    assert effective(environment(""))["admit"] == {"key": None, "provenance": {"repository": None, "ref": None}}


@pytest.mark.parametrize("text", ["refs/tags/v1.*", "refs/heads/release/**", "feature/a+b", "v(1)"])
def test_a_glob_is_not_taken_for_a_regular_expression(text: str) -> None:
    """``v1.*`` is what it looks like; and a control: what is in brackets is told."""
    if "(" in text:
        with pytest.raises(SpecError):
            environment(f"    admit: {{provenance: {{ref: '{text}'}}}}\n")
    else:
        assert environment(f"    admit: {{provenance: {{ref: '{text}'}}}}\n").admit.provenance.ref == text
