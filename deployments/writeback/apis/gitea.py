"""Gitea and Forgejo: commit statuses, by their REST API, version 1; neither has records of deployments.

https://docs.gitea.com/api/: ``POST /repos/{owner}/{repo}/statuses/{sha}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from deployments.writeback.apis.asking import Asker, AwayError
from deployments.writeback.apis.protocol import Access, Answer
from deployments.writeback.model import CommitStatus, Report, Stand

_STATE: Mapping[Stand, str] = {
    Stand.PENDING: "pending", Stand.RUNNING: "pending", Stand.SUCCESS: "success", Stand.FAILED: "failure",
    Stand.CANCELED: "error", Stand.INACTIVE: "error",
}  # fmt: skip


class GiteaApi:
    """The API for one repository."""

    def __init__(self, access: Access) -> None:
        """Ask nobody yet."""
        self._asker = Asker(access, {"Authorization": f"token {access.token}"})
        self._repo = f"/repos/{quote(access.project)}"

    def takes(self, report: Report) -> bool:
        """Statuses of commits alone."""
        return isinstance(report, CommitStatus)

    async def tell(self, report: Report, handle: str = "", *, tried: bool = False) -> Answer:
        """Let it stand there; see `ForgeApi.tell`."""
        del handle, tried
        if not isinstance(report, CommitStatus):
            return Answer(says="it has no records of deployments")
        body = {"state": _STATE[report.state], "context": report.context, "description": report.description}
        body |= {"target_url": report.target_url} if report.target_url else {}
        try:
            said = await self._asker.ask("POST", f"{self._repo}/statuses/{report.commit}", body)
        except AwayError as error:
            return Answer(again=True, says=str(error))
        return Answer(taken=True) if said.well else self._asker.no(said)
