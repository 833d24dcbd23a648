"""What people who come through the proxy may do to Prefect's API. Pure.

Prefect's API has no users, and to it a worker's configuration is data like any other: who may set a run's command, a
deployment's steps or a pool's template runs what he likes where the seal's key and the keys of the hosts lie. A login
would then be worth nothing. So through the proxy goes what Prefect's page is for: to look, to fill in a form, to order
what projects.yaml offers as a form, to hold, cancel and retry a run. That is everybody's whom the proxy lets in.

What the engine runs by is the operators' (people.yaml): with a general flow's parameters somebody brings another
repository in as the project, and so his own hosts and key; a queue or schedule that is paused keeps a way back waiting;
a state set by hand, or a run that is deleted, hides what was done. Everything else, and whatever a later Prefect adds,
is done at the server's own address. So is switching an automation: the watchdog, switched on again, marks living runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from gopub.canon import Json, JsonError, read_json
from gopub.views.forms import FORM, KIND

LARGEST = 2**20
"""Bytes of a request that is looked into."""
RESERVED = ("gopub-", "rollout:")
"""How the tags begin by which gopub knows runs of its own."""
_ID = r"[0-9a-fA-F-]{32,36}"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_SAYS_NO = frozenset({"", "0", "false", "f", "no", "n", "off"})
_SECRETS = "include_secrets"
_ELSEWHERE = "through the proxy {} is not done: do it at the server's own address (docs/guides/approvals.md)"
OPERATORS = "through the proxy {} is done by the operators alone whom people.yaml names (docs/guides/approvals.md)"

_DETAILS = frozenset({"scheduled_time", "pause_timeout", "pause_reschedule"})
_BUTTONS = {
    "CANCELLING": ("Cancelling",), "CANCELLED": ("Cancelled",), "PAUSED": ("Paused", "Suspended"),
    "SCHEDULED": ("AwaitingRetry",),
}  # fmt: skip
"""The states, by kind and name, that a run's buttons set: Cancel, Suspend, Retry."""
_PLACES = ("is_paused", "concurrency_limit")
_PAUSING, _SCHEDULES, _POOLS = "to pause a deployment", "to write a schedule", "to pause a pool or a queue"
_OTHERS = "to start what is no form of projects.yaml"

Fields = Mapping[str, Json]
Judge = Callable[[Fields], str]


@dataclass(frozen=True, slots=True)
class _Way:
    """A call that goes through; ``judge`` says what in its body does not. None: any body, unseen.

    ``engine`` says what of it is the operators' alone; empty: nothing.
    """

    method: str
    path: re.Pattern[str]
    judge: Judge | None = None
    engine: Judge | None = None


def _only(*names: str) -> Judge:
    """No field but these; others may stand there empty, as the page sends them."""

    def judge(fields: Fields) -> str:
        return next((f"setting {name}" for name, value in fields.items() if name not in names and value), "")

    return judge


def _state(value: Json) -> str:
    """A state has no data: a run that ends with some is believed to have come to it. Nor has it a form's keys."""
    if value is None:
        return ""
    if not isinstance(value, dict) or value.get("data") is not None:
        return "a state with data"
    details = value.get("state_details") or {}
    if not isinstance(details, dict):
        return "a state with other details"
    return next((f"a state with {name}" for name, one in details.items() if name not in _DETAILS and one), "")


def _set_state(fields: Fields) -> str:
    return _only("state", "force", "flow_runs", "limit")(fields) or _state(fields.get("state"))


def _started(fields: Fields) -> str:
    tags = fields.get("tags") or []
    if not isinstance(tags, list) or any(not isinstance(tag, str) or tag.startswith(RESERVED) for tag in tags):
        return f"a run with a tag {' or '.join(RESERVED)}"
    state = fields.get("state")
    if isinstance(state, dict) and state.get("type") not in {None, "SCHEDULED"}:
        return "a run that begins otherwise than scheduled"
    plain = ("parameters", "name", "tags", "state", "enforce_parameter_schema", "work_queue_name", "empirical_policy")
    return _only(*plain)(fields) or _state(state)


def _buttons(fields: Fields) -> str:
    """What the buttons of a run do is everybody's: back and to hold are the safe way, and it may be tried again."""
    state = fields.get("state")
    kind, name = (state.get("type"), state.get("name")) if isinstance(state, dict) else (None, None)
    if not isinstance(kind, str) or (name and not isinstance(name, str)):
        return "to set a state by hand"
    return "" if kind in _BUTTONS and (not name or name in _BUTTONS[kind]) else "to set a state by hand"


def _unchecked(fields: Fields) -> str:
    """A form's values are those that it offers: unchecked, a start says more than the form asks for."""
    return "" if fields.get("enforce_parameter_schema", True) is True else "to start a run with unchecked values"


def _engine(what: str) -> Judge:
    return lambda _fields: what


def _without_secrets(fields: Fields) -> str:
    return "reading secrets" if fields.get(_SECRETS) else ""


def _way(method: str, path: str, judge: Judge | None = None, engine: Judge | None = None) -> _Way:
    return _Way(method, re.compile(rf"(?:/[^/\s]+)*/api/{path}/?"), judge, engine)


_WAYS = (
    _way("POST", r"block_documents/(?:filter|count)", _without_secrets),
    _way("POST", r"(?!block_documents/)[a-z_]+/(?:filter|count|paginate|history|lateness)"),
    _way("POST", r"artifacts/latest/(?:filter|count)"),
    _way("POST", rf"flow_runs/{_ID}/input/filter"),
    _way("POST", r"work_pools/[^/]+/(?:queues|workers)/(?:filter|paginate)"),
    _way("POST", r"(?:work_pools|work_queues)/[^/]+/(?:concurrency_status|get_scheduled_flow_runs|get_runs)"),
    _way("POST", r"events/count-by/[^/]+"),
    _way("POST", r"templates/validate"),
    _way("POST", r"ui/(?:flows|flow_runs|task_runs|schemas)/[a-z/-]+"),
    _way("PUT", r"saved_searches"),
    _way("DELETE", rf"saved_searches/{_ID}"),
    _way("POST", rf"flow_runs/{_ID}/resume"),
    _way("POST", rf"flow_runs/{_ID}/set_state", _set_state, _buttons),
    _way("POST", r"flow_runs/bulk_set_state", _set_state, _engine("to set many states at once")),
    _way("DELETE", rf"flow_runs/{_ID}", engine=_engine("to delete a run")),
    _way("POST", r"flow_runs/bulk_delete", engine=_engine("to delete runs")),
    _way("POST", rf"deployments/{_ID}/create_flow_run", _started, _unchecked),
    _way("PATCH", rf"deployments/{_ID}", _only("paused"), _engine(_PAUSING)),
    _way("POST", rf"deployments/{_ID}/(?:pause|resume)_deployment", engine=_engine(_PAUSING)),
    _way("POST", rf"deployments/{_ID}/schedules", engine=_engine(_SCHEDULES)),
    _way("PATCH", rf"deployments/{_ID}/schedules/{_ID}", engine=_engine(_SCHEDULES)),
    _way("DELETE", rf"deployments/{_ID}/schedules/{_ID}", engine=_engine(_SCHEDULES)),
    _way("PATCH", r"work_pools/[^/]+(?:/queues/[^/]+)?", _only(*_PLACES), _engine(_POOLS)),
    _way("PATCH", rf"work_queues/{_ID}", _only(*_PLACES), _engine(_POOLS)),
)
_STARTS = re.compile(rf"(?P<deployment>(?:/[^/\s]+)*/api/deployments/{_ID})/create_flow_run/?")
_VARIABLES = "job_variables"
_HEARD = re.compile(r"(?:/[^/\s]+)*/(?:events|logs)/out/?")


def refused(method: str, path: str, query: str = "") -> str:
    """Why such a call does not go through, whatever its body; empty where it may."""
    if method in _READING:
        asked = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == _SECRETS]
        return "" if all(value.strip().lower() in _SAYS_NO for value in asked) else _ELSEWHERE.format("reading secrets")
    return "" if _found(method, path) else _ELSEWHERE.format(f"{method} {path}")


def looked_into(method: str, path: str) -> bool:
    """Whether `refused_body` or `for_operators` has a say."""
    way = _found(method, path)
    return way is not None and (way.judge is not None or way.engine is not None)


def refused_body(method: str, path: str, body: bytes) -> str:
    """Why a call that may go through does not with this body; empty where it does.

    What two readers could read differently does not: this one would see another body than the server behind.
    """
    way = _found(method, path)
    if way is None or way.judge is None:
        return ""
    if not body.strip():
        return ""
    try:
        fields = read_json(body, limit=LARGEST)
    except JsonError as error:
        return f"its body is not plain JSON: {error}"
    if not isinstance(fields, dict):
        return "its body is no JSON object"
    what = way.judge(fields)
    return _ELSEWHERE.format(what) if what else ""


def for_operators(method: str, path: str, body: bytes) -> str:
    """What of a call that goes through is the operators' alone; empty where it is everybody's."""
    way = _found(method, path)
    if way is None or way.engine is None:
        return ""
    try:
        fields = read_json(body, limit=LARGEST) if way.judge and body.strip() else {}
    except JsonError:
        fields = None
    return way.engine(fields) if isinstance(fields, dict) else "what is not plain JSON"


def not_offered(deployed: Json) -> str:
    """Why a start of this deployment, as the server has it, is the operators' alone; empty where it is a form."""
    labels = deployed.get("labels") if isinstance(deployed, dict) else None
    offered = isinstance(labels, dict) and labels.get(KIND) == FORM
    return (
        "" if offered and isinstance(deployed, dict) and deployed.get("enforce_parameter_schema") is True else _OTHERS
    )


def started(method: str, path: str) -> str:
    """The path of the deployment of which a run is started; empty where none is."""
    found = _STARTS.fullmatch(path) if method == "POST" else None
    return found["deployment"] if found else ""


def as_deployed(body: bytes, deployed: Json) -> bytes:
    """The body of a start, without job variables where they are the deployment's own: Prefect's page sends those along.

    They are taken away, not compared alone: then they count as they are when the run is made.
    """
    try:
        fields = read_json(body, limit=LARGEST)
    except JsonError:
        return body
    own = deployed.get(_VARIABLES) if isinstance(deployed, dict) else None
    if not isinstance(fields, dict) or not own or fields.get(_VARIABLES) != own:
        return body
    return json.dumps({name: value for name, value in fields.items() if name != _VARIABLES}).encode()


def may_listen(path: str) -> bool:
    """Whether people hear this websocket: Prefect's page shows events and logs as they come. Others take work."""
    return bool(_HEARD.fullmatch(path))


def _found(method: str, path: str) -> _Way | None:
    return next((way for way in _WAYS if way.method == method and way.path.fullmatch(path)), None)
