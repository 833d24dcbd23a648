"""What Fulcio is told of the stack's issuer: a GitLab, whose claims become a certificate's extensions. Pure."""

from __future__ import annotations

import json

from gopub.canon import Json
from gopub.lab.sigstore.oidc import AUDIENCE, GITLAB

_CI = "https://{{ .ci_config_ref_uri }}"
_PROJECT = "{{ .url }}/{{ .project_path }}"
_TEMPLATES = {
    "build-signer-uri": _CI,
    "build-signer-digest": "ci_config_sha",
    "runner-environment": "runner_environment",
    "source-repository-uri": _PROJECT,
    "source-repository-digest": "sha",
    "source-repository-ref": 'refs/{{if eq .ref_type "branch"}}heads/{{ else }}tags/{{end}}{{ .ref }}',
    "source-repository-identifier": "project_id",
    "source-repository-owner-uri": "{{ .url }}/{{ .namespace_path }}",
    "source-repository-owner-identifier": "namespace_id",
    "build-config-uri": _CI,
    "build-config-digest": "ci_config_sha",
    "build-trigger": "pipeline_source",
    "run-invocation-uri": _PROJECT + "/-/jobs/{{ .job_id }}",
    "source-repository-visibility-at-signing": "project_visibility",
    "deployment-environment": "environment",
}
"""As the public Fulcio reads tokens of gitlab.com: extension → claim or template."""


def configuration(issuer: str) -> str:
    """Fulcio's configuration. It is no JSON as a whole: of that Fulcio would read other names, and say nothing."""
    provider = "gitlab-pipeline"
    trusted: dict[str, Json] = {
        "issuer-url": issuer, "client-id": AUDIENCE, "type": "ci-provider", "ci-provider": provider,
    }  # fmt: skip
    metadata: dict[str, Json] = {
        "default-template-values": {"url": f"https://{GITLAB}", "environment": ""},
        "extension-templates": dict(_TEMPLATES),
        "subject-alternative-name-template": _CI,
    }
    whole = {"oidc-issuers": {issuer: trusted}, "ci-issuer-metadata": {provider: metadata}}
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in whole.items())
