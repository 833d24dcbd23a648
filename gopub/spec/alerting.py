"""``alertmanager:`` in projects.yaml: who may tell of alerts, and which of them hold a rollout while they fire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from gopub.spec.base import Model
from gopub.spec.fields import Word, matching, refuse
from gopub.spec.kinds import SecretRef
from gopub.spec.stars import glob
from gopub.spec.when import LONGEST_FIELD, DeploymentName, Event, Patterns, Template, When

Label = Annotated[
    Word,
    AfterValidator(matching(r"[a-zA-Z_][a-zA-Z0-9_]{0,99}", "GP982", "a label's name", "as Prometheus has them: env")),
]
"""The name of a label of Prometheus."""


class AlertRun(Model):
    """What an alert starts, once where it begins to fire, or once where it is over."""

    scalar_is_first = False

    when: When
    """Which alerts: source alertmanager, type firing or resolved, and fields such as labels.severity."""
    run: DeploymentName
    """A deployment on the Prefect server, as flow/deployment."""
    parameters: Mapping[Word, Template] = {}
    """Parameters of that; {path} stands for a field of the alert: {labels.alertname}, {annotations.summary}."""


class Alertmanager(Model):
    """What Alertmanager may hold: the rollout of the app and environment that an alert's labels name."""

    scalar_is_first = False

    token: SecretRef | None = None
    """The bearer token that it sends (http_config: authorization: credentials)."""
    previous_token: SecretRef | None = None
    """The one before it."""
    username: Word | None = None
    """Instead of a token, the user of basic_auth."""
    password: SecretRef | None = None
    """The password of that."""
    app_label: Label = "app"
    """The label that names the app."""
    env_label: Label = "env"
    """The label that names the environment."""
    match: Mapping[Label, Patterns] = {}
    """Which alerts hold: labels, and what they have to be; none named: all that name an app and an environment."""
    runs: tuple[AlertRun, ...] = ()
    """What alerts start beside that; each that matches counts."""

    @model_validator(mode="after")
    def _has_a_secret(self) -> Self:
        if (self.username is None) != (self.password is None) or (self.token is None and self.password is None):
            raise refuse("GP925", "alertmanager has no secret to check a webhook with",
                         "add token: {env: …}, or username: and password: {env: …}")  # fmt: skip
        return self

    def means(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels holds a rollout."""
        return all(_fits(labels.get(name, ""), patterns) for name, patterns in self.match.items())

    def started(self, event: Event) -> tuple[AlertRun, ...]:
        """What this alert starts."""
        return tuple(one for one in self.runs if one.when.fits(event))


def own_name(event: str) -> str:
    """The ``alertname`` under which an Alertmanager is told of an event by gopub: GopubRolledBack."""
    return "Gopub" + "".join(part.capitalize() for part in (event or "message").split("-"))


def is_own(labels: Mapping[str, str]) -> bool:
    """Whether gopub told this alert itself: one that holds what it is about would be told again, for ever."""
    event = labels.get("event", "")
    return bool(event and labels.get("notice")) and labels.get("alertname") == own_name(event)


def _fits(text: str, patterns: tuple[str, ...]) -> bool:
    return 0 < len(text) <= LONGEST_FIELD and any(glob(one).matches(text) for one in patterns)
