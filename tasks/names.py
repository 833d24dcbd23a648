"""What a run is called in the UI: short, and the same words that people use for what it does."""

from __future__ import annotations

from typing import Any

from prefect.runtime import flow_run, task_run

_SHOWN = 3


def deploy() -> str:
    """``deploy-orders-v1.4.0-prod``: what of, which ref, where to."""
    given = flow_run.get_parameters()
    return f"deploy-{_service(given)}-{_ref(given)}-{given.get('env')}"


def release() -> str:
    """``release-orders-v1.4.0``."""
    given = flow_run.get_parameters()
    return f"release-{_service(given)}-{_ref(given)}"


def order() -> str:
    """``deploy-orders-1.4.0-prod``, or ``release-orders-v1.4.0`` where it is for no environment."""
    given = flow_run.get_parameters()
    if not given.get("env"):
        return f"release-{given.get('app')}-{_ref(given)}"
    return f"deploy-{given.get('app')}-{given.get('version')}-{given.get('env')}"


def steer() -> str:
    """``hold-orders-prod``."""
    given = flow_run.get_parameters()
    return f"{given.get('decision')}-{given.get('app')}-{given.get('env')}"


def promote() -> str:
    """``promote``, and what of where it is not everything that waits."""
    return _narrowed("promote")


def recover() -> str:
    """``recover``, and what of where it is not everything that was lost."""
    return _narrowed("recover")


def batch() -> str:
    """``switch app1, app2``; of many hosts the first ones and how many there are."""
    hosts = list(task_run.get_parameters().get("batch") or ())
    more = f" and {len(hosts) - _SHOWN} more" if len(hosts) > _SHOWN else ""
    return f"{task_run.get_task_name()} {', '.join(hosts[:_SHOWN])}{more}"


def step() -> str:
    """``bake step 1``: counted as the plan and `gopub status` count."""
    planned = task_run.get_parameters().get("step")
    return f"{task_run.get_task_name()} step {planned.index + 1 if planned else '?'}"


def _narrowed(what: str) -> str:
    given = flow_run.get_parameters()
    return "-".join(part for part in (what, given.get("app"), given.get("env")) if part)


def _service(given: dict[str, Any]) -> str:
    """The last part of the repository's address: the app's own name is not known before it was read."""
    path = str(given.get("repository") or "").rstrip("/").removesuffix(".git")
    return path.replace(":", "/").rpartition("/")[2] or "?"


def _ref(given: dict[str, Any]) -> str:
    """The tag or branch without git's prefix, the first 12 digits of a commit."""
    ref = str(given.get("ref") or "HEAD").removeprefix("refs/tags/").removeprefix("refs/heads/")
    return ref[:12] if len(ref) == 40 and all(char in "0123456789abcdef" for char in ref) else ref
