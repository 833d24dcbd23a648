"""What should stand on a forge: the status of a commit, and the record of a deployment. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from gopub.canon import bounded
from gopub.telemetry import REDACTOR, one_line

SHORTEST = 140
"""Characters that every forge takes in a description: GitHub's limit; GitLab has 255."""


class Stand(StrEnum):
    """How it stands with what was pushed or rolled out; each forge has words of its own for it."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELED = "canceled"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """The status of a commit under a name; ``target_url`` is empty where no page has a public address."""

    commit: str
    context: str
    state: Stand
    description: str
    target_url: str = ""
    kind: Literal["status"] = "status"


@dataclass(frozen=True, slots=True)
class DeploymentRecord:
    """That a commit is, or was to be, what an environment runs; ``name`` tells records of the same commit apart."""

    commit: str
    environment: str
    name: str
    state: Stand
    description: str
    target_url: str = ""
    kind: Literal["record"] = "record"


Report: TypeAlias = CommitStatus | DeploymentRecord


def key_of(app: str, report: Report) -> str:
    """What a report has in common with those before and after it."""
    if isinstance(report, CommitStatus):
        return json.dumps(["status", app, report.context, report.commit])
    return json.dumps(["record", app, report.environment, report.name])


def kept(report: Report) -> str:
    """As text, the same for the same report."""
    return json.dumps(asdict(report), sort_keys=True)


def report_of(text: str) -> Report:
    """The report again."""
    fields = json.loads(text)
    fields["state"] = Stand(fields["state"])
    return CommitStatus(**fields) if fields["kind"] == "status" else DeploymentRecord(**fields)


def described(text: str) -> str:
    """A text as a forge may show it: one line, without secrets, as long as each of them takes it."""
    return bounded(one_line(REDACTOR.clean(" ".join(text.split()))), SHORTEST)
