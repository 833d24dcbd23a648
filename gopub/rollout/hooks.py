"""The boxes of hooks: what runs once per rollout, before the first host switches or after the last, and its way back.

The journal says what began before it is begun. A host knows by itself which of its hooks began and what came of them,
so it is asked again after a crash; of what runs beside the driver nobody but its end tells, so that what began and has
no end is left to a person, unless it says that it may run twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from gopub.canon import bounded
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.hooks import HookEnded, HookIntended, Hooks, Stands, When, to_undo
from gopub.journal.reading import read_state
from gopub.journal.state import State
from gopub.journal.streams import env_stream
from gopub.plan.model import Outcome, Plan
from gopub.process import Result
from gopub.rollout import hosts
from gopub.rollout.box import Trouble, box
from gopub.rollout.holding import stand
from gopub.rollout.run import Run
from gopub.spec.compat import Compat, Hook
from gopub.telemetry import log

_log = log("rollout")

WHENS: tuple[When, ...] = ("before", "after")


@dataclass(frozen=True, slots=True)
class Due:
    """A hook, and whether it is the project's, which runs beside the driver."""

    hook: Hook
    here: bool


def hooks_of(compat: Compat, when: When) -> tuple[Due, ...]:
    """In the order in which they run: the project's before those of the release. Pure."""
    ours = compat.controller.before if when == "before" else compat.controller.after
    theirs = compat.before if when == "before" else compat.after
    return (*(Due(hook, here=True) for hook in ours), *(Due(hook, here=False) for hook in theirs))


@box
async def run_hooks(run: Run, when: When) -> None:
    """Run what the rollout has to run now, each once."""
    if _was_served(run.plan):
        return
    for due in hooks_of(run.ports.environment.compat, when):
        known = run.state.hooks.get(due.hook.name)
        if known and known.stands == "done":
            continue
        await stand(run)
        host = "" if due.here else _host(run)
        unseen = known is not None and known.stands == "began" and due.here and not due.hook.again
        if unseen:
            raise Trouble(Outcome.WITHDRAWN, 0, _unseen(due.hook.name))
        if known is None or known.stands == "failed":
            run.record(HookIntended(due.hook.name, when, host))
        ended = await _done(run, due, known.host if known else host, "run")
        run.record(ended)
        if not ended.ok:
            raise Trouble(Outcome.WITHDRAWN, 0, f"the hook {due.hook.name} ({when}) failed: {ended.said}")


def _was_served(plan: Plan) -> bool:
    """Whether the release was the stable one already: a change of the inventory, or hosts that it is brought to. Pure.

    Its hooks ran when it came in. What they made is what stable lives with, so that none is run, and none taken back.
    """
    return bool(plan.steps) and plan.stable is not None and plan.stable.release == plan.release.release


async def undo_hooks(run: Run, when: When) -> None:
    """Take back what began, the newest first; what cannot be taken back is told, and stops nothing."""
    if _was_served(run.plan):
        return
    known, unknown = hooks_that_ran(run)
    if unknown and when == "after":
        run.alarm(unknown)
    by_name = {due.hook.name: due for due in hooks_of(run.ports.environment.compat, when)}
    for name in to_undo(known, when):
        due = by_name.get(name)
        why = _in_the_way(run, due, when, known[name].stands)
        if due is None or why:
            run.alarm(f"the hook {name} is not taken back: {why}")
            continue
        run.record(HookIntended(name, when, known[name].host, undoes=True), must=False)
        ended = await _undone(run, due, known[name].host)
        run.record(ended, must=False)
        if not ended.ok:
            run.alarm(f"the hook {name} could not be taken back: {ended.said}")


def _in_the_way(run: Run, due: Due | None, when: When, stands: Stands) -> str:
    """Why a hook is not taken back; empty where nothing speaks against it."""
    if due is None:
        return "the environment does not have it any more"
    if due.hook.undo == "none":
        return "nothing takes it back (`undo: none`)"
    if stands == "undoing" and due.here and not due.hook.again:
        return "its undo began and nobody saw its end, for its driver died: look what it did"
    if when == "before" and run.state.owed:
        return f"{', '.join(run.state.owed)} may still run the release that needs it"
    return ""


async def _undone(run: Run, due: Due, host: str) -> HookEnded:
    try:
        return await _done(run, due, host, "undo")
    except GopubError as error:
        return HookEnded(due.hook.name, ok=False, said=f"{error.code} {error.problem}", undoes=True)
    except Exception as error:  # noqa: BLE001 - hosts are still to be brought back, whatever is wrong with an undo
        _log.exception("%s: the undo of %s", run.rollout, due.hook.name)
        return HookEnded(due.hook.name, ok=False, said=f"internal error: {error!r}", undoes=True)


async def _done(run: Run, due: Due, host: str, way: str) -> HookEnded:
    """Run it, or what takes it back, and say what came of it.

    Raises:
        GopubError: its host cannot be reached.
    """
    hook, undoes = due.hook, way == "undo"
    words = hook.run if way == "run" else tuple(hook.undo)
    if due.here:
        try:
            result = await run.ports.here(words, told(run), hook.within)
        except GopubError as error:
            return HookEnded(hook.name, ok=False, said=f"{error.code} {error.problem}", undoes=undoes)
        return HookEnded(hook.name, ok=result.code == 0, said=_said(result), undoes=undoes)
    record = await hosts.hook(run, host, hook, words, f"{run.rollout}.{way}")
    return HookEnded(
        hook.name, ok=record.ok, said="" if record.ok else f"{record.code} {record.message}", undoes=undoes
    )


def told(run: Run) -> dict[str, str]:
    """What a hook beside the driver finds in its environment of the rollout."""
    plan = run.plan
    stable = plan.stable.version if plan.stable else ""
    return {"GOPUB_APP": plan.app, "GOPUB_ENV": plan.env, "GOPUB_VERSION": plan.release.version,
            "GOPUB_RELEASE": plan.release.release, "GOPUB_STABLE": stable, "GOPUB_ROLLOUT": run.rollout}  # fmt: skip


def _host(run: Run) -> str:
    """The host on which the release's hooks run: the first that gets it."""
    first = run.plan.steps[0].hosts if run.plan.steps else ()
    return first[0] if first else run.plan.hosts[0].name


def _said(result: Result) -> str:
    return "" if result.code == 0 else bounded(f"exit code {result.code}: {result.complaint}")


def _unseen(name: str) -> str:
    return (
        f"GP589 the hook {name} began and nobody saw its end, for its driver died: look what it did; "
        "`again: true` says that it may run a second time"
    )


def hooks_that_ran(run: Run) -> tuple[Hooks, str]:
    """The hooks of what is taken back, and what a person must know where nobody can tell them.

    A rollout that only goes back ran none itself: those of the rollout count that promoted what goes.
    """
    plan, back, own = run.plan, run.state.back, run.state.hooks
    if plan.steps or back is None or back.outcome is not Outcome.ROLLED_BACK:
        return own, ""
    names = [due.hook.name for when in WHENS for due in hooks_of(run.ports.environment.compat, when)]
    if not names:
        return own, ""
    state = _brought_in(run)
    if state is None or state.plan is None:
        return own, f"whether {', '.join(names)} ran is not known here: no hook is taken back"
    if state.plan.stable != plan.stable:
        gone = state.plan.stable.version if state.plan.stable else "nothing"
        return own, f"no hook is taken back: {', '.join(names)} led here from {gone}"
    return {**state.hooks, **own}, ""


def _brought_in(run: Run) -> State | None:
    """The rollout that brought in what goes, for those that came after ran no hooks; None where that is not known."""
    events = [entry.event for entry in run.ports.journal.read(env_stream(run.plan.app, run.plan.env))]
    for event in reversed(events):
        if not isinstance(event, ev.EnvClosed) or event.outcome is not Outcome.PROMOTED:
            continue
        state = read_state(run.ports.journal, event.rollout) if event.stable == run.plan.release.release else None
        if state is None or state.plan is None or not _was_served(state.plan):
            return state
    return None
