"""How every box becomes a Prefect task: nothing cached or persisted, a time limit, retries only where asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TagsContext

from gopub.errors import LockedError, RefusedError, UsageError
from tasks.tracing import as_span

P = ParamSpec("P")
R = TypeVar("R")


class Box(Task[P, R]):
    """A task that bears no tags, though the flow run that it is part of does: see `box`."""

    async def create_local_run(self, *args: Any, **options: Any) -> TaskRun:
        """As Prefect's, out of sight of the tags around it."""
        with TagsContext(current_tags=set()):
            return await super().create_local_run(*args, **options)


def box(
    name: str,
    *,
    limit: float | None,
    run_name: str | Callable[[], str] | None = None,
    patient: bool = False,
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a core function a task; ``limit`` is in seconds, ``patient`` asks again when the outside is away.

    A box has no tags: a task with any asks the server for a place before it begins, limit or none, and waits while the
    server does not answer. No step of a rollout may.

    Side effects must never be answered from a cache; whether work was done already is the journal's business.
    """
    options: dict[str, Any] = {"task_run_name": run_name or name}  # Prefect would add random digits to the name
    return lambda work: Box(
        as_span(name, work),
        name=name,
        timeout_seconds=limit,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=3 if patient else 0,
        retry_condition_fn=_may_pass if patient else None,
        retry_delay_seconds=[1.0, 2.0, 4.0],
        retry_jitter_factor=0.5 if patient else None,
        **options,
    )


def _may_pass(_task: object, _run: object, state: State[Any]) -> bool:
    """Whether asking again can help: a mistake, a refusal and a taken seat stay what they are."""
    return not isinstance(state.data, UsageError | RefusedError | LockedError)
