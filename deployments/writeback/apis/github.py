"""GitHub: commit statuses, deployments and their statuses, by its REST API of version 2022-11-28.

https://docs.github.com/rest/commits/statuses and https://docs.github.com/rest/deployments. A deployment is found again
by the rollout's name in its payload.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from deployments.writeback.apis.asking import Asker, AwayError, Said, id_of
from deployments.writeback.apis.protocol import Access, Answer
from deployments.writeback.model import CommitStatus, DeploymentRecord, Report, Stand
from gopub.canon import Json

_STATUS: Mapping[Stand, str] = {
    Stand.PENDING: "pending", Stand.RUNNING: "pending", Stand.SUCCESS: "success", Stand.FAILED: "failure",
    Stand.CANCELED: "error", Stand.INACTIVE: "error",
}  # fmt: skip
_RECORD: Mapping[Stand, str] = {
    Stand.PENDING: "queued", Stand.RUNNING: "in_progress", Stand.SUCCESS: "success", Stand.FAILED: "failure",
    Stand.CANCELED: "error", Stand.INACTIVE: "inactive",
}  # fmt: skip


class GitHubApi:
    """The API for one repository."""

    def __init__(self, access: Access) -> None:
        """Ask nobody yet."""
        headers = {
            "Authorization": f"Bearer {access.token}", "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }  # fmt: skip
        self._asker, self._repo = Asker(access, headers), f"/repos/{quote(access.project)}"

    def takes(self, report: Report) -> bool:
        """All of it."""
        del report
        return True

    async def tell(self, report: Report, handle: str = "", *, tried: bool = False) -> Answer:
        """Let it stand there; see `ForgeApi.tell`."""
        try:
            return await (self._status(report) if isinstance(report, CommitStatus) else
                          self._record(report, handle, tried=tried))  # fmt: skip
        except AwayError as error:
            return Answer(again=True, says=str(error))

    async def _status(self, status: CommitStatus) -> Answer:
        body = {"state": _STATUS[status.state], "context": status.context, "description": status.description}
        body |= {"target_url": status.target_url} if status.target_url else {}
        said = await self._asker.ask("POST", f"{self._repo}/statuses/{status.commit}", body)
        return Answer(taken=True) if said.well else self._asker.no(said)

    async def _record(self, record: DeploymentRecord, handle: str, *, tried: bool) -> Answer:
        if not handle and tried:
            said = await self._asker.ask("GET", f"{self._repo}/deployments?{_asked(record)}")
            if not said.well:
                return self._asker.no(said)
            handle = _mine(said, record)
        if not handle:
            said = await self._asker.ask("POST", f"{self._repo}/deployments", _made(record))
            handle = id_of(said.body) if said.well else ""
            if not handle:
                return self._asker.no(said)
        try:
            said = await self._asker.ask("POST", f"{self._repo}/deployments/{handle}/statuses", _standing(record))
        except AwayError as error:
            return Answer(again=True, says=str(error), handle=handle)
        if said.well:
            return Answer(taken=True, handle=handle)
        no = self._asker.no(said)
        return Answer(again=no.again, says=no.says, pause=no.pause, handle=handle)


def _asked(record: DeploymentRecord) -> str:
    return urlencode({"sha": record.commit, "environment": record.environment, "per_page": 100})


def _mine(said: Said, record: DeploymentRecord) -> str:
    """The id of the deployment that was made for this record; empty where none of those listed was."""
    for one in said.body if isinstance(said.body, list) else ():
        payload = one.get("payload") if isinstance(one, dict) else None
        if isinstance(payload, str):
            try:
                payload = json.loads(payload)
            except ValueError:
                continue
        if isinstance(payload, dict) and payload.get("gopub") == record.name and isinstance(one, dict):
            return id_of(one)
    return ""


def _made(record: DeploymentRecord) -> dict[str, Json]:
    """Nothing is merged for it, and no check is asked for: what was released is deployed already."""
    return {
        "ref": record.commit, "environment": record.environment, "auto_merge": False, "required_contexts": [],
        "payload": {"gopub": record.name}, "description": record.description,
    }  # fmt: skip


def _standing(record: DeploymentRecord) -> dict[str, Json]:
    """Which of our records are inactive we say ourselves: those of other tools are theirs."""
    body: dict[str, Json] = {"state": _RECORD[record.state], "description": record.description, "auto_inactive": False}
    return body | ({"log_url": record.target_url} if record.target_url else {})
