"""GitLab, GitHub and Gitea as their published schemas describe what is used of them: every request is held to one.

Written from https://docs.gitlab.com/api/commits/, https://docs.gitlab.com/api/deployments/,
https://docs.github.com/rest/commits/statuses, https://docs.github.com/rest/deployments and Gitea's swagger.json. The
real ones ignore keys that they do not know; these refuse them.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from jsonschema import Draft202012Validator

TOKEN = "forge-token-0123456789"
PROJECT = "trade/orders"
KNOWN = "a" * 40
OTHER = "b" * 40
OLDER = "c" * 40


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def _text(most: int, **more: Any) -> dict[str, Any]:
    return {"type": "string", "maxLength": most, "minLength": 1, **more}


_SHA = {"type": "string", "pattern": "^(?:[0-9a-f]{40}|[0-9a-f]{64})$"}
_URI = {"type": "string", "pattern": "^https?://", "maxLength": 255}
GITLAB_STATUS = _object(
    ["state"], state={"enum": ["pending", "running", "success", "failed", "canceled", "skipped"]}, name=_text(255),
    description=_text(255), target_url=_URI,
)  # fmt: skip
GITLAB_DEPLOYMENT = _object(
    ["environment", "sha", "ref", "tag", "status"], environment=_text(255), sha=_SHA, ref=_text(255),
    tag={"type": "boolean"}, status={"enum": ["running", "success", "failed", "canceled"]},
)  # fmt: skip
GITLAB_UPDATE = _object(["status"], status={"enum": ["running", "success", "failed", "canceled"]})
GITHUB_STATUS = _object(
    ["state"], state={"enum": ["error", "failure", "pending", "success"]}, context=_text(255), description=_text(140),
    target_url=_URI,
)  # fmt: skip
GITHUB_DEPLOYMENT = _object(
    ["ref"], ref=_text(255), environment=_text(255), auto_merge={"type": "boolean"}, description=_text(140),
    required_contexts={"type": "array", "items": {"type": "string"}}, payload={"type": ["object", "string"]},
)  # fmt: skip
GITHUB_STANDING = _object(
    ["state"], description=_text(140), log_url=_URI, auto_inactive={"type": "boolean"},
    state={"enum": ["error", "failure", "inactive", "in_progress", "queued", "pending", "success"]},
)  # fmt: skip
GITEA_STATUS = _object(
    ["state"], state={"enum": ["pending", "success", "error", "failure", "warning"]}, context=_text(255),
    description=_text(1000), target_url=_URI,
)  # fmt: skip

Given = tuple[int, Any, dict[str, str]]
Asked = dict[str, Any]


@dataclass
class Forge:
    """What stands on one forge; ``answers`` are given first, in turn, in the place of what it would do."""

    kind: str
    url: str = ""
    statuses: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    answers: list[Given] = field(default_factory=list)
    commits: set[str] = field(default_factory=lambda: {KNOWN, OTHER, OLDER})
    """What the repository has."""
    raw: Callable[[Any], None] | None = None
    """Writes an answer of its own to the connection, where it is set."""

    @property
    def auth(self) -> tuple[str, str]:
        """The header that a token stands in, and what it has to be."""
        return {"gitlab": ("PRIVATE-TOKEN", TOKEN), "github": ("Authorization", f"Bearer {TOKEN}"),
                "gitea": ("Authorization", f"token {TOKEN}")}[self.kind]  # fmt: skip

    def told(self, commit: str, context: str = "gopub/lab") -> list[str]:
        """The states of a status, the first one first."""
        return [one["state"] for one in self.statuses.get((commit, context), [])]

    def answer(self, method: str, path: str, query: Asked, body: Any) -> Given:
        """What it answers to a request of a known sender."""
        ways: dict[str, Callable[[str, str, Asked, Any], Given]] = {
            "gitlab": self._gitlab, "github": self._github, "gitea": self._gitea,
        }  # fmt: skip
        return ways[self.kind](method, path, query, body)

    def _gitlab(self, method: str, path: str, query: Asked, body: Any) -> Given:  # noqa: PLR0911 - one for each answer
        found = re.fullmatch(r"/projects/([^/]+)/(statuses|deployments)(?:/([^/]+))?", path)
        if not found or unquote(found[1]) != PROJECT:
            return 404, {"message": "404 Project Not Found"}, {}
        if found[2] == "statuses":
            if wrong := _wrong(GITLAB_STATUS, body):
                return 400, {"error": wrong}, {}
            return self._gitlab_status(found[3], body)
        if method == "GET":
            newest = [one for one in reversed(self.deployments) if one["environment"] == query["environment"]]
            return 200, newest, {}
        if wrong := _wrong(GITLAB_UPDATE if method == "PUT" else GITLAB_DEPLOYMENT, body):
            return 400, {"error": wrong}, {}
        if method == "POST":
            return self._kept({**body, "deployable": None})
        there = next((one for one in self.deployments if str(one["id"]) == found[3]), None)
        if there is None:
            return 404, {"message": "404 Not found"}, {}
        if there["status"] == body["status"]:
            return 400, {"message": f"Cannot transition status via :x from :{body['status']}"}, {}
        there["status"] = body["status"]
        return 200, there, {}

    def _gitlab_status(self, commit: str, body: Any) -> Given:
        if commit not in self.commits:
            return 404, {"message": "404 Commit Not Found"}, {}
        there = self.statuses.setdefault((commit, body["name"]), [])
        if there and there[-1]["state"] == body["state"] and body["state"] in ("pending", "running"):
            how = {"pending": "enqueue", "running": "run"}[body["state"]]
            why = f"Cannot transition status via :{how} from :{body['state']} (Reason(s): Status cannot transition)"
            return 400, {"message": why}, {}
        there.append(body)
        return 201, {"id": len(there), "sha": commit, "status": body["state"], "name": body["name"]}, {}

    def _kept(self, made: dict[str, Any]) -> Given:
        self.deployments.append({"id": len(self.deployments) + 1, **made})
        return 201, self.deployments[-1], {}

    def _github(self, method: str, path: str, query: Asked, body: Any) -> Given:  # noqa: PLR0911 - one for each answer
        found = re.fullmatch(rf"/repos/{PROJECT}/(statuses|deployments)(?:/([^/]+))?(/statuses)?", path)
        if not found:
            return 404, {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}, {}
        if found[1] == "statuses":
            return self._plain_status(found[2], body, GITHUB_STATUS, f"No commit found for SHA: {found[2]}")
        if method == "GET":
            return 200, [one for one in self.deployments if one["ref"] == query["sha"]], {}
        if wrong := _wrong(GITHUB_STANDING if found[3] else GITHUB_DEPLOYMENT, body):
            return 422, {"message": "Validation Failed", "errors": [wrong]}, {}
        if not found[3]:
            if body["ref"] not in self.commits:
                return 422, {"message": f"No ref found for: {body['ref']}"}, {}
            return self._kept({**body, "standing": []})
        there = next((one for one in self.deployments if str(one["id"]) == found[2]), None)
        if there is None:
            return 404, {"message": "Not Found"}, {}
        there["standing"].append(body["state"])
        return 201, {"id": 7, "state": body["state"]}, {}

    def _gitea(self, method: str, path: str, query: Asked, body: Any) -> Given:
        del query
        found = re.fullmatch(rf"/repos/{PROJECT}/statuses/([^/]+)", path)
        if not found or method != "POST":
            return 404, {"message": "Not Found"}, {}
        return self._plain_status(found[1], body, GITEA_STATUS, "object does not exist")

    def _plain_status(self, commit: str, body: Any, schema: dict[str, Any], gone: str) -> Given:
        if wrong := _wrong(schema, body):
            return 422, {"message": "Validation Failed", "errors": [wrong]}, {}
        if not Draft202012Validator(_SHA).is_valid(commit) or commit not in self.commits:
            return 422, {"message": gone}, {}
        self.statuses.setdefault((commit, body["context"]), []).append(body)
        return 201, {"id": 1, "state": body["state"], "context": body["context"]}, {}


def _wrong(schema: dict[str, Any], body: Any) -> str:
    return next((error.message for error in Draft202012Validator(schema).iter_errors(body)), "")


@contextmanager
def forge(kind: str) -> Iterator[Forge]:
    """One that listens on the loopback address until the end of the block."""
    there = Forge(kind)

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            there.requests.append((self.command, parts.path, body))
            if there.raw:
                there.raw(self)
                return
            name, wanted = there.auth
            known = self.headers.get(name) == wanted
            if there.answers:
                status, said, headers = there.answers.pop(0)
            elif not known:
                status, said, headers = 401, {"message": "401 Unauthorized"}, {}
            else:
                status, said, headers = there.answer(self.command, parts.path, query, body)
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            for key, value in {"content-type": "application/json", "content-length": str(len(data)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _any  # noqa: N815 - their names there

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    there.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield there
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def slowly(handler: Any) -> None:
    """One byte a second."""
    handler.wfile.write(b"HTTP/1.1 201 Created\r\ncontent-length: 1000\r\n\r\n")
    for _ in range(1000):
        try:
            handler.wfile.write(b" ")
            handler.wfile.flush()
        except OSError:
            return
        time.sleep(1.0)


def endless(handler: Any) -> None:
    """Ten megabytes of JSON."""
    data = b'"' + b"x" * (10 << 20) + b'"'
    handler.wfile.write(b"HTTP/1.1 201 Created\r\ncontent-length: %d\r\n\r\n" % len(data))
    try:
        handler.wfile.write(data)
    except OSError:
        return
