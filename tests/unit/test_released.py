"""What stands on the page of a release: what it is, who signed, each file and each statement about it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.build.artifact import FileRef
from gopub.errors import RefusedError
from gopub.evidence import claimed_name, claimed_signer, generate, sign_blob
from gopub.release.model import TargetFiles
from gopub.views.pages import shown
from gopub.views.released import Signer, release_page
from tests.support.rollout_world import RELEASE

SIGNER = Signer("5" * 64)
BUILT = TargetFiles(
    FileRef("hello_2_linux_arm64.tar.gz", "1" * 64, 3_400_000),
    FileRef("hello", "2" * 64, 900),
    {"spdx": FileRef("hello.spdx.json", "3" * 64, 40_000)},
    {"archive": FileRef("a.sigstore.json", "4" * 64, 3_000), "provenance": FileRef("p.sigstore.json", "6" * 64, 9_000),
     "sbom-spdx": FileRef("s.sigstore.json", "7" * 64, 50_000)},
)  # fmt: skip
HELLO = replace(RELEASE, targets={**RELEASE.targets, "linux/arm64": BUILT})


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| linux/")]


def test_every_file_stands_on_it_once_with_its_target_and_digest():
    page = release_page(HELLO, SIGNER)
    assert page.key == "hello-release"
    digests = page.text.partition("```text\n")[2].partition("\n```")[0].splitlines()
    for target, files in HELLO.targets.items():
        mine = [row for row in rows(page.text) if row.startswith(f"| {target} |")]
        assert [sum(f"| {shown(file.name)} |" in row for row in mine) for file in files.all()] == [1] * len(files.all())
        assert [digests.count(f"{file.digest}  {target}  {file.name}") for file in files.all()] == [1] * len(
            files.all()
        )
    assert len(digests) == sum(len(files.all()) for files in HELLO.targets.values())
    assert len(rows(page.text)) == sum(len(files.all()) for files in HELLO.targets.values())


def test_it_says_who_signed_and_how_to_check_it():
    text = release_page(HELLO, SIGNER).text
    assert f"the key `{SIGNER.fingerprint[:16]}`" in text
    assert f"`gopub verify {HELLO.release_id[:16]} --app hello --key FILE`" in text
    assert "2023-11-14 22:13:20 UTC" in text
    assert "It enters lab." in text
    assert "It enters nowhere." in release_page(replace(HELLO, environments={}), SIGNER).text


def test_one_whom_a_certificate_names_is_told_by_name_and_checked_by_it():
    who = Signer("9" * 64, "https://gitlab.corp/trade/orders of https://gitlab.corp")
    text = release_page(HELLO, who).text
    assert "a certificate for `https://gitlab.corp/trade/orders of https://gitlab.corp` (`9999999999999999`)" in text
    nasty = release_page(HELLO, Signer("9" * 64, "x` [a](javascript:b)\n## owned")).text
    assert "for `x [a](javascript:b)## owned` (" in nasty, "all of it is code, and on one line"
    assert "--identity WHO --issuer WHOSE-WORD --trust CONNECTION`" in text
    assert "--key" not in text and "the key" not in text


def test_it_leads_to_the_rollouts_of_the_environments_that_have_any():
    text = release_page(HELLO, SIGNER, {"lab": "http://prefect/artifacts/key/hello-lab-rollout"}).text
    assert "Its rollouts, and those before: [lab](http://prefect/artifacts/key/hello-lab-rollout)" in text
    assert "Its rollouts" not in release_page(HELLO, SIGNER).text, "control: an empty page is no help"


def test_the_name_is_the_one_in_the_certificate_and_a_key_has_none(tmp_path):
    kept = Path(__file__).parents[1] / "cases" / "evidence" / "public-good-github.sigstore.json"
    said = claimed_name(kept.read_bytes())
    assert said.startswith("'https://github.com/sigstore-conformance/") and "token.actions.githubuser" in said
    assert claimed_name(sign_blob(generate(tmp_path / "keys").signer(), b"{}")) == ""


def test_the_signer_is_the_one_that_the_signature_names(tmp_path):
    signer = generate(tmp_path / "keys").signer()
    assert claimed_signer(sign_blob(signer, b"{}")) == signer.public.fingerprint
    broken = json.loads(sign_blob(signer, b"{}"))
    broken["verificationMaterial"]["publicKey"]["hint"] = "<no base64>"
    with pytest.raises(RefusedError, match="GP310"):
        claimed_signer(json.dumps(broken).encode())


def test_evidence_is_named_by_what_it_states():
    said = "\n".join(rows(release_page(HELLO, SIGNER).text))
    for words in ("signature of the archive", "provenance (SLSA)", "SBOM (spdx)", "signature of the SBOM (spdx)",
                  "3.2 MiB", "900 bytes"):  # fmt: skip
        assert words in said, words


def test_nobodys_words_become_markup():
    nasty = release_page(replace(HELLO, repository="https://x/[a](javascript:b)|<img src=x>\n## owned"), SIGNER).text
    assert "\n## owned" not in nasty
    assert "<img" not in nasty
    assert "[a](javascript" not in nasty
