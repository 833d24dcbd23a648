"""The secrets that projects.yaml refers to; the file itself is read in gopub/spec/projects.py."""

from __future__ import annotations

from deployments.hooks.alertmanager import AlertSecrets
from deployments.hooks.signing import HookSecrets, signing_key
from deployments.writeback.apis.protocol import Access
from gopub.canon import sha256
from gopub.errors import UsageError
from gopub.spec.forges import Gitee, GitLab, Secrets
from gopub.spec.kinds import SecretRef
from gopub.spec.projects import Projects


def hook_secrets(projects: Projects) -> dict[str, HookSecrets]:
    """The webhook's secrets of each app with rules for a forge's events, read now.

    Raises:
        UsageError: GP926 a signing token is none; and what a reference raises that leads nowhere.
    """
    return {name: _revealed(projects.secrets_of(name)) for name, app in projects.apps.items() if app.hears_a_forge()}


def _revealed(secrets: Secrets | None) -> HookSecrets:
    """The newest first; GitLab's signing tokens have a form of their own."""
    if isinstance(secrets, GitLab):
        signing = [_signing_secret(ref) for ref in (secrets.signing, secrets.previous_signing) if ref]
        return HookSecrets(_all(secrets.token, secrets.previous_token), tuple(signing))
    if isinstance(secrets, Gitee):
        tokens = _all(secrets.password, secrets.previous_password)
        return HookSecrets(tokens, _all(secrets.signing, secrets.previous_signing))
    return HookSecrets(signing=_all(secrets.secret, secrets.previous_secret)) if secrets else HookSecrets()


def _all(*refs: SecretRef | None) -> tuple[str, ...]:
    return tuple(ref.reveal() for ref in refs if ref)


def _signing_secret(ref: SecretRef) -> str:
    secret = ref.reveal()
    try:
        signing_key(secret)
    except ValueError as error:
        raise UsageError("GP926", f"{ref} is {error}", hint="copy it from GitLab once more") from None
    return secret


def token_digests(projects: Projects) -> dict[str, str]:
    """The SHA-256 of every token of the REST API by the token's name.

    Raises:
        UsageError: GP142 a reference leads nowhere.
    """
    return {
        name: token.sha256 or sha256(token.secret.reveal().encode() if token.secret else b"")
        for name, token in projects.tokens.items()
    }


def alert_secrets(projects: Projects) -> AlertSecrets | None:
    """What Alertmanager may present, read now; None where it is not heard.

    Raises:
        UsageError: GP142 a reference leads nowhere.
    """
    wanted = projects.alertmanager
    if wanted is None:
        return None
    tokens = tuple(one.reveal() for one in (wanted.token, wanted.previous_token) if one)
    logins = (f"{wanted.username}:{wanted.password.reveal()}",) if wanted.password else ()
    return AlertSecrets(tokens, logins)


def forge_access(projects: Projects) -> dict[str, Access]:
    """Where the forge of each app is told of it, by the app; the tokens are read now.

    Raises:
        UsageError: GP142 a reference leads nowhere.
    """
    found: dict[str, Access] = {}
    for name in projects.apps:
        forge, api = projects.forge_of(name), projects.api_of(name)
        if forge and api:
            found[name] = Access(forge, api.url, projects.path_on_forge(name), api.token.reveal())
    return found
