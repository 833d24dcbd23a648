"""The secrets that projects.yaml refers to; the file itself is read in gopub/spec/projects.py."""

from __future__ import annotations

from deployments.hooks.alertmanager import AlertSecrets
from deployments.hooks.signing import HookSecrets, signing_key
from gopub.canon import sha256
from gopub.errors import UsageError
from gopub.spec.kinds import SecretRef
from gopub.spec.projects import GitLab, Projects


def hook_secrets(projects: Projects) -> dict[str, HookSecrets]:
    """The webhook's secrets of each app with rules for GitLab's events, read now.

    Raises:
        UsageError: GP926 a signing token is none; and what a reference raises that leads nowhere.
    """
    return {
        name: _revealed(app.gitlab or projects.gitlab) for name, app in projects.apps.items() if app.hears("gitlab")
    }


def _revealed(gitlab: GitLab | None) -> HookSecrets:
    if gitlab is None:
        return HookSecrets()
    signing = [ref for ref in (gitlab.signing, gitlab.previous_signing) if ref]
    return HookSecrets(
        tokens=tuple(ref.reveal() for ref in (gitlab.token, gitlab.previous_token) if ref),
        signing=tuple(_signing_secret(ref) for ref in signing),
    )


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
