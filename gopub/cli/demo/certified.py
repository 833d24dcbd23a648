"""The demo's releases signed without a key: by a Sigstore of the lab, for jobs of a GitLab that is not there."""

from __future__ import annotations

import json
from pathlib import Path

from gopub.lab.sigstore import oidc, stack
from gopub.lab.sigstore.layout import Stack

NAME = "sigstore-demo"
_GROUP = "demo"
_LASTING = 3600


def remote_of(service: str) -> str:
    """The repository as the certificates name it; nothing of that name is ever asked."""
    return f"https://{oidc.GITLAB}/{_GROUP}/{service}"


def spec_of(service: str, text: str, issuer: str) -> str:
    """The example's gopub.yaml, signed without a key, and admitted where the job of a tag signed it."""
    sign = f"sign: {{keyless: {NAME}}}"
    identity = f"{remote_of(service)}//.gitlab-ci.yml@refs/tags/v*"
    admit = (
        f"    admit: {{signed: [{{identity: {json.dumps(identity)}, issuer: {json.dumps(issuer)}, trust: {NAME}}}]}}\n"
    )
    made = text.replace("\n  lab:\n", f"\n  lab:\n{admit}", 1)
    if "\nevidence:\n" in made:
        return made.replace("\nevidence:\n", f"\nevidence:\n  {sign}\n", 1)
    return made.rstrip("\n") + f"\nevidence: {{{sign}}}\n"


def connection(made: Stack, token: Path) -> str:
    """What the name means: a worker has no job of its own, so the token lies in a file."""
    return (
        f"{NAME}: {{kind: sigstore, trust: {json.dumps(str(made.trust))}, token: {{file: {json.dumps(str(token))}}}}}\n"
    )


def write_token(made: Stack, token: Path, service: str, version: str, commit: str) -> None:
    """The token of the job that releases this version."""
    said = oidc.claims(f"{_GROUP}/{service}", f"refs/tags/v{version}", sha=commit)
    token.touch(0o600)
    token.write_text(stack.token(made, said, lasting=_LASTING))
