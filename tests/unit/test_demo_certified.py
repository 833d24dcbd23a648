"""What the demo makes of an example where it signs without a key, and the token of its job."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from gopub.cli.demo import certified
from gopub.evidence.signers import IdentityRule
from gopub.lab.sigstore import ground, stack
from gopub.spec.loader import parse_spec

EXAMPLES = Path(__file__).parents[2] / "examples"
ISSUER = "http://127.0.0.1:20001"


@pytest.mark.parametrize("service", ["hello", "httpbin"])
def test_an_example_is_signed_without_a_key_and_admitted_by_the_identity_that_signs(
    service: str, tmp_path: Path
) -> None:
    text = (EXAMPLES / service / "gopub.yaml").read_text()
    before, after = (parse_spec(one, "gopub.yaml").spec for one in (text, certified.spec_of(service, text, ISSUER)))
    assert after.evidence.sign.keyless == certified.NAME
    assert after.evidence.sbom == before.evidence.sbom and after.build == before.build
    (signer,) = after.environments["lab"].admit.signed or ()
    assert (signer.issuer, signer.trust) == (ISSUER, certified.NAME)

    made = ground.place(tmp_path / "stack")
    stack.write_files(made)
    token = tmp_path / "token"
    certified.write_token(made, token, service, "1.2.3", "4" * 40)
    assert token.stat().st_mode & 0o077 == 0
    body = token.read_text().split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert (claims["sha"], claims["aud"]) == ("4" * 40, "sigstore")
    rule = IdentityRule(signer.identity or "", ISSUER, certified.NAME)
    assert rule.identity.replace("v*", "v1.2.3") == f"https://{claims['ci_config_ref_uri']}"
