"""projects.yaml: what it may say, and the exact text of each mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from deployments.hooks.signing import HookSecrets
from deployments.projects import forge_access, hook_secrets, token_digests
from deployments.writeback.apis.protocol import Access
from gopub import schemas
from gopub.errors import SpecError, UsageError
from gopub.spec.projects import Projects, find_projects, load_projects, parse_projects
from gopub.wiring.backends import BACKENDS

CASES = Path(__file__).parents[1] / "cases" / "deployments" / "projects.bad.yaml"


def bad_cases() -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load(CASES.read_text()))


@pytest.mark.parametrize("case", bad_cases(), ids=lambda case: case["name"])
def test_each_mistake_has_its_text(case: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as caught:
        parse_projects(case["input"], "projects.yaml")
    assert f"{caught.value}\n" == case["error"]


def test_a_small_file_is_enough() -> None:
    projects = parse_projects(
        "apps: {orders: {repository: /srv/orders, project: /p, envs: [prod]}}\ntokens: {ci: {secret: {env: T}}}\n",
        "projects.yaml",
    )
    assert projects.apps["orders"].version_tag == "v{version}"
    assert projects.tokens["ci"].allows("orders", "prod")
    assert projects.tokens["ci"].refs == ("refs/heads/**", "refs/tags/**")


def test_a_token_reaches_only_what_it_lists() -> None:
    projects = parse_projects(
        """
apps:
  orders: {repository: /srv/orders, project: /srv/orders, envs: [prod, staging]}
  audit: {repository: /srv/audit, project: /srv/audit, envs: [prod]}
tokens: {ci: {secret: {env: T}, apps: [orders], envs: [staging]}}
""",
        "projects.yaml",
    )
    token = projects.tokens["ci"]
    assert token.allows("orders", "staging")
    assert not token.allows("orders", "prod")
    assert not token.allows("audit", "staging")


def test_secrets_are_read_by_reference_and_an_app_may_have_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orders.token").write_text("orders-secret\n")
    (tmp_path / "projects.yaml").write_text("""
apps:
  orders:
    repository: /srv/orders
    project: /srv/orders
    envs: [prod]
    rules: [{branch: main, env: prod}]
    gitlab: {token: {file: orders.token}}
  audit: {repository: /srv/audit, project: /srv/audit, envs: [prod], rules: [{branch: main, env: prod}]}
gitlab:
  token: {env: HOOK}
  previous_token: {env: HOOK_BEFORE}
tokens:
  ci: {secret: {env: TOKEN}}
  held: {sha256: 6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b}
""")
    monkeypatch.setenv("HOOK", "shared-secret")
    monkeypatch.setenv("HOOK_BEFORE", "older-secret")
    monkeypatch.setenv("TOKEN", "1")
    projects = load_projects(tmp_path / "projects.yaml", BACKENDS)
    assert hook_secrets(projects) == {
        "orders": HookSecrets(tokens=("orders-secret",)),
        "audit": HookSecrets(tokens=("shared-secret", "older-secret")),
    }
    held = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"  # sha256 of "1"
    assert token_digests(projects) == {"ci": held, "held": held}


def test_where_a_forge_is_told_is_the_apps_own_word_or_that_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    projects = parse_projects(
        """
apps:
  orders: {repository: "https://gitlab.example/trade/a/orders.git", project: /p, envs: [prod],
    rules: [{branch: main, env: prod}], gitlab: {api: {url: "https://gitlab.example/api/v4", token: {env: OWN}}}}
  audit: {repository: /srv/git/audit.git, forge_project: trade/audit, project: /p, envs: [prod]}
  quiet: {repository: /srv/git/quiet.git, project: /p, envs: [prod], forge: gitee}
gitlab: {token: {env: HOOK}, api: {url: "http://127.0.0.1:8929/api/v4", token: {env: ALL}}}
""",
        "projects.yaml",
    )
    for name in ("OWN", "ALL", "HOOK"):
        monkeypatch.setenv(name, f"secret-{name}")
    assert forge_access(projects) == {
        "orders": Access("gitlab", "https://gitlab.example/api/v4", "trade/a/orders", "secret-OWN"),
        "audit": Access("gitlab", "http://127.0.0.1:8929/api/v4", "trade/audit", "secret-ALL"),
    }
    assert hook_secrets(projects) == {"orders": HookSecrets(tokens=("secret-HOOK",))}, "its webhook's is that for all"


def test_a_signing_secret_that_is_none_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING", "plain-word")
    projects = parse_projects(
        """
apps: {orders: {repository: /srv/orders, project: /p, envs: [prod], rules: [{branch: main, env: prod}]}}
gitlab: {signing: {env: SIGNING}}
""",
        "projects.yaml",
    )
    with pytest.raises(UsageError) as caught:
        hook_secrets(projects)
    assert str(caught.value) == (
        "GP926 environment variable SIGNING is not a signing secret: it begins with whsec_ and goes on with base64 "
        "of 16 bytes or more\nhint: copy it from GitLab once more"
    )


def test_the_file_is_searched_and_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GOPUB_PROJECTS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with pytest.raises(UsageError) as caught:
        find_projects()
    assert str(caught.value) == (
        f"GP920 no projects file: looked for projects.yaml, {tmp_path}/config/gopub/projects.yaml, "
        "/etc/gopub/projects.yaml\nhint: docs/guides/triggers.md shows one; --projects names another place"
    )
    user = tmp_path / "config" / "gopub" / "projects.yaml"
    user.parent.mkdir(parents=True)
    user.touch()
    assert find_projects() == user
    (tmp_path / "named.yaml").touch()
    monkeypatch.setenv("GOPUB_PROJECTS", str(tmp_path / "named.yaml"))
    assert find_projects() == tmp_path / "named.yaml"
    with pytest.raises(UsageError, match=r"GP920 no projects file: looked for missing\.yaml"):
        find_projects(Path("missing.yaml"))


def test_the_schema_for_editors_is_that_of_the_models() -> None:
    """To write it anew: dump what is compared here into gopub/schemas/projects.v1.json."""
    made = Projects.model_json_schema(by_alias=True) | {"title": "projects.yaml"}
    assert {"$schema": "https://json-schema.org/draft/2020-12/schema", **made} == schemas.schema("projects")


def test_the_file_of_the_guide_is_good_by_both() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "triggers.md").read_text()
    text = guide.partition("```yaml\n")[2].partition("```")[0]
    assert set(parse_projects(text, "projects.yaml").apps) == {"orders", "audit"}
    Draft202012Validator(schemas.schema("projects")).validate(YAML(typ="safe", pure=True).load(text))
