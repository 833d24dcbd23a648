"""How a run says that it was refused: in one line, on its page, in its log and in the worker's.

Prefect shows every exception with forty lines of its own inside. An error that gopub explains needs none of them: code,
problem and hint say what to do. What gopub does not explain keeps its traceback.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar, cast

from prefect.states import Failed

from gopub.errors import GopubError
from gopub.telemetry import REDACTOR
from tasks.ends import executed_by_a_worker

P = ParamSpec("P")
R = TypeVar("R")
_LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "prefect.engine")
_NOTHING_NEW = "Finished in state Completed()"
"""What Prefect writes at the end of each box that went well, between the lines of the story; the timeline shows it."""
_AGAIN = ("Engine execution exited", "Execution of flow run", "Execution exited")


def in_one_line(error: GopubError) -> str:
    """``GP942 orders has no environment 'x'; hint: pass --env NAME``."""
    return REDACTOR.clean("; ".join(line for line in str(error).splitlines() if line.strip()))


class OneLine(logging.Filter):
    """Takes the traceback off records of errors that gopub explains, and drops what says nothing, or it once more."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place; False where it repeats what was told."""
        if record.getMessage() == _NOTHING_NEW and record.name == "prefect.task_runs":
            return False
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if not isinstance(error, GopubError):
            return True
        again = record.getMessage().startswith(_AGAIN)
        record.msg, record.args, record.exc_info, record.exc_text = in_one_line(error), None, None, None
        return not again


def plainly(flow: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """End a worker's run that is refused as Failed, with the error in one line; who awaits a flow gets the error."""

    @functools.wraps(flow)
    async def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await flow(*args, **kwargs)
        except GopubError as error:
            if not executed_by_a_worker():
                raise
            return cast("R", Failed(message=in_one_line(error), data=error))

    # Prefect reads the types of the parameters here, where the names of the flow's own file are not known. What a chart
    # is made of (`tasks.parts`) is none of them: nobody gives it over REST, and it stands in no form.
    whole = inspect.signature(flow, eval_str=True)
    given = [one for one in whole.parameters.values() if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    told.__signature__ = whole.replace(parameters=given)  # type: ignore[attr-defined] # read by `inspect`
    return told


def _install() -> None:
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, OneLine) for one in logger.filters):
            logger.addFilter(OneLine())


_install()
