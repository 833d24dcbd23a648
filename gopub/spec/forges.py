"""The secrets of the webhooks of each forge in projects.yaml; the previous ones stay valid while they are changed."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import AfterValidator

from gopub.spec.base import Model
from gopub.spec.fields import refuse
from gopub.spec.kinds import SecretRef
from gopub.spec.texts import HttpUrl

ForgeName: TypeAlias = Literal["gitlab", "github", "gitea", "gitee"]
NAMES: tuple[ForgeName, ...] = get_args(ForgeName)


_PLAIN = re.compile(r"http://(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])(?::\d+)?(?:/|$)")


def _protected(url: str) -> str:
    if not url.startswith("https://") and not _PLAIN.match(url):
        raise refuse("GP996", f"{url} would be sent a token readable by everybody on the way", "write https://")
    return url


class Api(Model):
    """A forge's API, which is told of pushes and rollouts: statuses of commits, records of deployments."""

    scalar_is_first = False

    url: Annotated[HttpUrl, AfterValidator(_protected)]
    """The API's address: https://gitlab.example/api/v4, https://api.github.com, https://gitea.example/api/v1."""
    token: SecretRef
    """The token that may write statuses and deployments, by reference."""


class GitLab(Model):
    """The secrets of GitLab's webhook."""

    scalar_is_first = False

    token: SecretRef | None = None
    """The secret token (X-Gitlab-Token)."""
    previous_token: SecretRef | None = None
    """The one before it."""
    signing: SecretRef | None = None
    """The signing token (whsec_…); once it is set, unsigned deliveries are refused."""
    previous_signing: SecretRef | None = None
    """The one before it."""
    api: Api | None = None
    """Where GitLab is told what became of pushes and rollouts; without it nowhere."""

    def proves(self) -> bool:
        """Whether a sender can prove anything by it."""
        return bool(self.token or self.signing)


class Signed(Model):
    """The secret of a webhook whose bodies are signed with it: GitHub's, Gitea's."""

    scalar_is_first = False

    secret: SecretRef | None = None
    """The webhook's secret."""
    previous_secret: SecretRef | None = None
    """The one before it."""
    api: Api | None = None
    """Where the forge is told what became of pushes and rollouts; without it nowhere."""

    def proves(self) -> bool:
        """Whether a sender can prove anything by it."""
        return bool(self.secret)


class Gitee(Model):
    """The secrets of Gitee's webhook."""

    scalar_is_first = False

    password: SecretRef | None = None
    """The password, which travels with each delivery."""
    previous_password: SecretRef | None = None
    """The one before it."""
    signing: SecretRef | None = None
    """The key that signs the time of a delivery; once it is set, passwords are refused."""
    previous_signing: SecretRef | None = None
    """The one before it."""

    def proves(self) -> bool:
        """Whether a sender can prove anything by it."""
        return bool(self.password or self.signing)


Secrets: TypeAlias = GitLab | Signed | Gitee
"""What is set up for the webhook of a forge."""
