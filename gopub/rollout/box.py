"""What every box of the chart has in common.

It is not entered when the rollout goes back or is over, and trouble inside it turns the rollout around instead of
leaving it half done.

    Trouble        a host, a verdict or a person: goes back as it says
    LockedError    somebody else drives now: this driver stops, nothing is undone
    GopubError     the outside failed (an edge, the journal): withdrawn, the release is not blamed
    anything else  a fault of ours: withdrawn as well, with the traceback in the log
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from gopub.errors import GopubError, LockedError
from gopub.plan.model import Outcome
from gopub.rollout.run import Run
from gopub.rollout.turn import turn_back
from gopub.telemetry import log

P = ParamSpec("P")
_log = log("rollout")


class Trouble(Exception):  # noqa: N818 - a finding about the rollout, told to whoever drives it
    """A step that could not be taken, and how to go back from it: outcome, number of the rule, reason."""

    def __init__(self, outcome: Outcome, rule: int, reason: str) -> None:
        """Keep the three; rule 0 is no rule of the decision."""
        super().__init__(reason)
        self.outcome = outcome
        self.rule = rule
        self.reason = reason


def box(
    work: Callable[Concatenate[Run, P], Awaitable[None]],
) -> Callable[Concatenate[Run, P], Coroutine[None, None, None]]:
    """Make a function on a run a box of the chart."""

    @wraps(work)
    async def boxed(run: Run, *args: P.args, **kwargs: P.kwargs) -> None:
        if run.state.back or run.state.closed:
            return
        try:
            obey_abort(run)
            await work(run, *args, **kwargs)
        except LockedError:
            raise
        except Trouble as trouble:
            await turn_back(run, trouble.outcome, trouble.rule, trouble.reason)
        except GopubError as error:
            await turn_back(run, Outcome.WITHDRAWN, 0, f"{error.code} {error.problem}")
        except Exception as error:  # noqa: BLE001 - a fault of ours must not leave a canary alone with the traffic
            _log.exception("%s failed in %s", run.rollout, work.__name__)
            await turn_back(run, Outcome.WITHDRAWN, 0, f"internal error in {work.__name__}: {error!r}")

    return cast("Callable[Concatenate[Run, P], Coroutine[None, None, None]]", boxed)


def obey_abort(run: Run) -> None:
    """Turn around where somebody asked for it; asked before each box, and at each look of a bake.

    Raises:
        Trouble: withdrawn, with who asked and why.
    """
    aborts = [asked for asked in run.asked() if asked.what == "abort"]
    if aborts:
        raise Trouble(Outcome.WITHDRAWN, 0, f"aborted: {aborts[-1].reason or 'no reason given'}")
