"""GitLab: commit statuses and deployments, by its REST API, version 4.

https://docs.gitlab.com/api/commits/#set-commit-pipeline-status and https://docs.gitlab.com/api/deployments/. GitLab
keeps the state of both in a machine that refuses to go where it is already: that refusal is a yes.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from deployments.writeback.apis.asking import Asker, AwayError, Said, id_of
from deployments.writeback.apis.protocol import Access, Answer
from deployments.writeback.model import CommitStatus, DeploymentRecord, Report, Stand
from gopub.canon import Json

_STATE: Mapping[Stand, str] = {
    Stand.PENDING: "pending", Stand.RUNNING: "running", Stand.SUCCESS: "success", Stand.FAILED: "failed",
    Stand.CANCELED: "canceled", Stand.INACTIVE: "canceled",
}  # fmt: skip


class GitLabApi:
    """The API for one project."""

    def __init__(self, access: Access) -> None:
        """Ask nobody yet."""
        self._asker = Asker(access, {"PRIVATE-TOKEN": access.token})
        self._project = f"/projects/{quote(access.project, safe='')}"

    def takes(self, report: Report) -> bool:
        """All but that a deployment is no more what runs: that is the one before the newest, there."""
        return report.state is not Stand.INACTIVE

    async def tell(self, report: Report, handle: str = "", *, tried: bool = False) -> Answer:
        """Let it stand there; see `ForgeApi.tell`."""
        try:
            return await (self._status(report) if isinstance(report, CommitStatus) else
                          self._record(report, handle, tried=tried))  # fmt: skip
        except AwayError as error:
            return Answer(again=True, says=str(error))

    async def _status(self, status: CommitStatus) -> Answer:
        body = {"state": _STATE[status.state], "name": status.context, "description": status.description}
        body |= {"target_url": status.target_url} if status.target_url else {}
        said = await self._asker.ask("POST", f"{self._project}/statuses/{status.commit}", body)
        return Answer(taken=True) if said.well or _is_there(said, body["state"]) else self._asker.no(said)

    async def _record(self, record: DeploymentRecord, handle: str, *, tried: bool) -> Answer:
        state = _STATE[Stand.RUNNING if record.state is Stand.PENDING else record.state]
        if not handle and tried:
            query = {"environment": record.environment, "order_by": "id", "sort": "desc", "per_page": 50}
            said = await self._asker.ask("GET", f"{self._project}/deployments?{urlencode(query)}")
            if not said.well:
                return self._asker.no(said)
            handle = _mine(said, record, state)
        if handle:
            said = await self._asker.ask("PUT", f"{self._project}/deployments/{handle}", {"status": state})
            there = said.well or _is_there(said, state)
        else:
            said = await self._asker.ask("POST", f"{self._project}/deployments", _made(record, state))
            handle = id_of(said.body) if said.well else ""
            there = bool(handle)
        return Answer(taken=True, handle=handle) if there else self._asker.no(said)


def _made(record: DeploymentRecord, state: str) -> dict[str, Json]:
    """A commit may be in many branches and tags: the ref is the commit itself."""
    return {"environment": record.environment, "sha": record.commit, "ref": record.commit, "tag": False,
            "status": state}  # fmt: skip


def _is_there(said: Said, state: str) -> bool:
    return said.status == 400 and "Cannot transition status" in said.text and f"from :{state}" in said.text


def _mine(said: Said, record: DeploymentRecord, state: str) -> str:
    """The id of the newest deployment of that commit which no pipeline made and which may be this record's."""
    for one in said.body if isinstance(said.body, list) else ():
        if not isinstance(one, dict) or one.get("sha") != record.commit or one.get("deployable"):
            continue
        if one.get("status") in ("running", state):
            return id_of(one)
    return ""
