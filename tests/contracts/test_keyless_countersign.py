"""A release of a key's, signed as well by a CI job without one, with a Sigstore that really runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.releases import SPEC
from tests.sigstore_stack import SigstoreStack
from tests.support.admission_world import Shop
from tests.support.command import gopub


def test_a_job_signs_a_release_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sigstore_stack: SigstoreStack
) -> None:
    shop = Shop(tmp_path, monkeypatch)
    with (shop.project / "connections.yaml").open("a") as file:
        file.write(f"lab: {{kind: sigstore, trust: {sigstore_stack.trust}}}\n")
    named = f'identity: "{sigstore_stack.identity()}", issuer: "{sigstore_stack.issuer}", trust: lab'
    both = f"all: [{{key: ../keys/gopub.pub}}, {{{named}}}]"
    shop.spec(f'{SPEC}    admit: {{signed: [{{{both}}}], provenance: {{repository: "**"}}}}\n')
    monkeypatch.chdir(shop.project)
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", sigstore_stack.token(ref="refs/tags/v2.0.0"))
    ended = gopub("countersign", "1.0.0", "-e", "lab", "--keyless", "lab")
    assert ended.code == 3 and "is not" in ended.err, ended.told
    assert gopub("verify", "1.0.0", "-e", "lab").code == 3
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", sigstore_stack.token())
    ended = gopub("countersign", "1.0.0", "-e", "lab", "--keyless", "lab")
    assert ended.code == 0, ended.told
    assert f"and by {sigstore_stack.identity()} of {sigstore_stack.issuer} in lab" in ended.out
    ended = gopub("verify", "1.0.0", "-e", "lab")
    assert ended.code == 0, ended.told
