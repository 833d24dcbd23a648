"""A webhook of Alertmanager as values: who sent it, which alerts it tells of, and whose rollouts they are about. Pure.

Version 4 of its payload. It cannot sign: it sends a bearer token or a user with a password, so TLS is needed.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from deployments.hooks.signing import any_equal
from deployments.starter import RunOrder
from gopub.canon import Json, JsonError, bounded, canonical, read_json, sha256
from gopub.spec.alerting import Alertmanager, is_own
from gopub.spec.projects import Projects
from gopub.spec.when import Event, filled
from gopub.telemetry import one_line
from gopub.usecases.alerts import OLDEST, Alert

LIMIT = 1 << 20
"""Bytes of a delivery; `max_alerts` in Alertmanager keeps it below."""
EARLY = 300.0
"""Seconds that the beginning of an alert may lie ahead of our clock."""
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class AlertSecrets:
    """What Alertmanager may present: bearer tokens, the newest first, and ``user:password``."""

    tokens: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()


class _Alert(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    status: Literal["firing", "resolved"]
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = {}
    generator: str = Field("", alias="generatorURL")
    fingerprint: str = ""
    begins: AwareDatetime = Field(alias="startsAt")
    ends: AwareDatetime | None = Field(None, alias="endsAt")


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal["4"]
    alerts: tuple[_Alert, ...]
    truncated: int = Field(0, alias="truncatedAlerts")


@dataclass(slots=True)
class Heard:
    """Alerts by the app and environment that they are about, and those that are about none and why."""

    about: dict[tuple[str, str], list[Alert]] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    truncated: int = 0
    orders: list[RunOrder] = field(default_factory=list)
    """What they start; each once, however often it is told."""


def may_tell(secrets: AlertSecrets | None, authorization: str) -> bool:
    """Whether the sender knows a secret; every comparison takes the same time."""
    if secrets is None:
        return False
    scheme, _, presented = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return any_equal(presented.strip(), secrets.tokens)
    if scheme.lower() != "basic":
        return False
    try:
        login = base64.b64decode(presented.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return False
    return any_equal(login, secrets.logins)


def read(body: bytes, wanted: Alertmanager, projects: Projects, now: float) -> Heard:
    """Sort the alerts of a delivery by whose rollouts they are about; what ended comes last.

    Raises:
        ValueError: it is no webhook of Alertmanager; the text says which field.
    """
    payload = _parsed(body)
    heard = Heard(truncated=payload.truncated)
    for one in sorted(payload.alerts, key=lambda alert: alert.status == "resolved"):
        heard.orders += _orders(one, wanted, projects, now)
        if why := "gopub told it" if is_own(one.labels) else _ignored(one, wanted, projects, now):
            heard.ignored.append(f"{_name(one)}: {why}")
        else:
            about = one.labels[wanted.app_label], one.labels[wanted.env_label]
            heard.about.setdefault(about, []).append(_alert(one))
    return heard


def _orders(alert: _Alert, wanted: Alertmanager, projects: Projects, now: float) -> Iterator[RunOrder]:
    """The runs that an alert starts: one for each that names it, for each time that it begins, or ends."""
    if is_own(alert.labels) or _untimely(alert, now):
        return
    event = Event("alertmanager", alert.status, _fields(alert))
    app, env = alert.labels.get(wanted.app_label, ""), alert.labels.get(wanted.env_label, "")
    known = app in projects.apps and env in projects.apps[app].envs
    for one in wanted.started(event):
        filled_in: dict[str, Json] = {name: filled(text, event) for name, text in one.parameters.items()}
        key = f"alert:{_digest(alert.labels)}@{alert.begins.timestamp():.3f}:{alert.status}:{one.run}"
        said = sha256(canonical(filled_in))[:16]  # two may start the same with other parameters
        yield RunOrder(app if known else "", env if known else "", f"{key}:{said}", filled_in, one.run)


def _fields(alert: _Alert) -> dict[str, Json]:
    """As a delivery has them."""
    return {
        "status": alert.status, "labels": dict(alert.labels), "annotations": dict(alert.annotations),
        "startsAt": alert.begins.isoformat(), "endsAt": alert.ends.isoformat() if alert.ends else "",
        "generatorURL": alert.generator, "fingerprint": alert.fingerprint,
    }  # fmt: skip


def _untimely(alert: _Alert, now: float) -> str:
    """Why it is too old or too new to mean anything; empty where it is not."""
    if alert.status == "firing" and now - alert.begins.timestamp() > OLDEST:
        return "it has fired for more than a day"
    if alert.begins.timestamp() - now > EARLY:
        return "it begins in the future: are the clocks right?"
    return ""


def _ignored(alert: _Alert, wanted: Alertmanager, projects: Projects, now: float) -> str:
    """Why an alert is about no rollout; empty where it is about one."""
    app, env = alert.labels.get(wanted.app_label, ""), alert.labels.get(wanted.env_label, "")
    if app not in projects.apps:
        return f"its label {wanted.app_label} names no app: {bounded(app, 60)!r}"
    if env not in projects.apps[app].envs:
        return f"its label {wanted.env_label} names no environment of {app}: {bounded(env, 60)!r}"
    if not wanted.means(alert.labels):
        return "its labels do not match"
    return _untimely(alert, now)


def _alert(alert: _Alert) -> Alert:
    """Labels alone name it: each server of a pair tells of another beginning, and Alertmanager takes the first one."""
    fires = alert.status == "firing"
    summary = alert.annotations.get("summary", "") if fires else ""
    says = f"alert {_name(alert)} {'fires' if fires else 'is over'}{': ' if summary else ''}{summary[:_SHOWN]}"
    name = _digest(alert.labels)
    begun = alert.begins.timestamp()
    ended = None if fires or alert.ends is None else alert.ends.timestamp()
    # The year 1 stands for none.
    return Alert(name, begun, fires, one_line(says), ended if ended is not None and ended >= begun else None)


def _digest(labels: Mapping[str, str]) -> str:
    """What an alert is known by; its own fingerprint would do, and need not be told."""
    return sha256(json.dumps(labels, sort_keys=True).encode())[:16]


def _name(alert: _Alert) -> str:
    return bounded(alert.labels.get("alertname", "") or "without a name", 80)


def _parsed(body: bytes) -> _Payload:
    try:
        return _Payload.model_validate(read_json(body, limit=LIMIT))
    except JsonError as error:
        raise ValueError(f"body: {error}") from None
    except ValidationError as error:
        first: Sequence[str | int] = error.errors(include_url=False, include_input=False)[0]["loc"]
        why = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise ValueError(bounded(f"{'.'.join(map(str, first)) or 'body'}: {why}")) from None
