"""How every box becomes a Prefect task: nothing cached or persisted, a time limit, retries only where asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE

P = ParamSpec("P")
R = TypeVar("R")


def box(
    name: str,
    *,
    limit: float | None,
    run_name: str | Callable[[], str] | None = None,
    slots: str = "",
    patient: bool = False,
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a core function a task; ``limit`` is in seconds, ``patient`` asks again when the outside is away.

    ``slots`` is the tag whose global concurrency limit the task counts against. A task with any tag asks the server for
    a place before it begins, limit or none, and waits while the server does not answer: no step of a rollout may.

    Side effects must never be answered from a cache; whether work was done already is the journal's business.
    """
    options: dict[str, Any] = {"task_run_name": run_name or name}  # Prefect would add random digits to the name
    return task(
        name=name,
        timeout_seconds=limit,
        tags=[slots] if slots else [],
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=3 if patient else 0,
        retry_delay_seconds=[1.0, 2.0, 4.0],
        retry_jitter_factor=0.5 if patient else None,
        **options,
    )
