"""The secrets of the webhooks of each forge in projects.yaml; the previous ones stay valid while they are changed."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from gopub.spec.base import Model
from gopub.spec.kinds import SecretRef

ForgeName: TypeAlias = Literal["gitlab", "github", "gitea", "gitee"]
NAMES: tuple[ForgeName, ...] = get_args(ForgeName)


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
