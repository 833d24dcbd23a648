"""A rollout on one page that is drawn again at every look: how it stands, what comes next and when, its hosts. Pure.

Prefect shows it as Markdown. Each number in it is one that the journal holds: whoever opens the page later, or another
driver's, reads the same.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.state import State, fold
from gopub.judge.gates import closed_gate, held_until, hold_of, opens_at
from gopub.plan.model import Outcome, Plan, PlannedStep
from gopub.units import say_about, say_seconds
from gopub.views.amounts import clock, names
from gopub.views.hostrows import host_table
from gopub.views.pages import MOST_CELL, TextPage, figures_table, named_key, shown, table
from gopub.views.standing import says_watch
from gopub.views.story import story
from gopub.views.verdict import because, verdict_view

STAGED, STEPPED = 10.0, 95.0
"""Per cent of the way once every host holds the release, and once every step is passed."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the page is drawn from: the journal's entries of a rollout, what people asked of it, and the time."""

    state: State
    entries: Sequence[Entry]
    asked: Sequence[ev.Asked]
    now: float
    looks: int | None = None
    """How many looks there were, where some are left out of the entries."""


@dataclass(frozen=True, slots=True)
class Ways:
    """Where the page leads: ``links`` are addresses by their words, ``form`` is that of the approval it waits for."""

    links: Mapping[str, str] = field(default_factory=dict)
    form: str = ""
    known: bool = True
    """Whether the server said what it has: else links may be missing."""


def scene(entries: Sequence[Entry], asked: Sequence[ev.Asked], now: float, *, looks: int | None = None) -> Scene:
    """The scene of these entries: all of the rollout's, or those that a `Course` keeps."""
    return Scene(fold(entry.event for entry in entries), entries, asked, now, looks)


def board(of: Scene, picture: str = "", ways: Ways = Ways()) -> TextPage:
    """The page; ``picture`` is an SVG file, empty where there is none yet."""
    state = of.state
    head = shown(headline(of), MOST_CELL)
    parts = [
        f"## {head}",
        *_next(of, ways.form),
        *_what(of),
        *_drawn(of),
        *_verdict(of),
        *_steps(of),
        *_hosts(of),
    ]
    parts += [*_figures(state), *_story(of)]
    if picture and state.verdict is not None:
        parts.append(_image(picture))
    parts += _see_also(ways)
    text = "\n\n".join(parts) + f"\n\nThe whole record: `gopub explain {state.rollout}`\n"
    told = f"{shown(f'{state.app} {state.release_version} in {state.env}', MOST_CELL)}: {head}"
    return TextPage(rollout_key(state.app, state.env), told, text)


def rollout_key(app: str, env: str) -> str:
    """The key under which the pages of an environment's rollouts are one history."""
    return named_key(f"{app}-{env}-rollout")


def asks_for(of: Scene) -> int | None:
    """The step, counted from 0, that waits for nothing any more but an approval, or for that and its window."""
    state, plan, step = of.state, of.state.plan, of.state.step
    if plan is None or step is None or state.closed or state.back:
        return None
    baked = step.index in state.reached and _baked(state, step) >= step.bake
    if not baked and not state.waiting:
        return None
    index = step.index + 1 if baked else step.index
    wanted = index < len(plan.steps) and plan.steps[index].approve
    return index if wanted and not any(one.what == f"promote:{index}" for one in of.asked) else None


def _see_also(ways: Ways) -> Iterator[str]:
    if ways.links:
        yield "See also " + ", ".join(f"[{shown(words)}]({where})" for words, where in ways.links.items())
    if not ways.known:
        yield "Links may be missing here: Prefect did not say in time which pages it has"


def headline(of: Scene) -> str:
    """``step 2 of 4, 10%: waits for trade-oncall since 14:48 UTC``."""
    state, now = of.state, of.now
    if state.closed:
        why = because(state.verdict, state.closed.reason)
        return f"{state.closed.outcome.value} at {clock(_when(of, ev.Closed), now)}{': ' + why if why else ''}"
    if state.back:
        since = clock(_when(of, ev.GoingBack), now)
        return f"{_where(state)}going back since {since}: {because(state.verdict, state.back.reason)}"
    if hold := hold_of(of.asked):
        why = f": {hold.reason}" if hold.reason else ""
        return f"{_where(state)}held by {hold.actor or 'somebody'} since {clock(hold.at, now)}{why}"
    if state.waiting:
        return f"{_where(state)}{_waits_for(state)} since {clock(_when(of, ev.Waiting), now)}"
    return f"{_where(state)}{_does(of)}"


def share(state: State) -> float:
    """How much of its way a rollout has gone, in per cent; where it turned around, how far it had come."""
    if state.closed and state.closed.outcome is Outcome.PROMOTED:
        return 100.0
    if state.plan is None or not state.hosts:
        return 0.0
    staged = STAGED * sum(host.staged for host in state.hosts.values()) / len(state.hosts)
    steps = [_share_of_step(state, step) for step in state.plan.steps]
    return round(staged + (STEPPED - STAGED) * sum(steps) / len(steps), 1) if steps else round(staged, 1)


def _share_of_step(state: State, step: PlannedStep) -> float:
    if step.index in state.passed:
        return 1.0
    if step.index not in state.reached:
        return 0.0
    return 0.2 + 0.8 * min(1.0, state.observed.get(step.index, 0.0) / step.bake) if step.bake else 0.2


def _where(state: State) -> str:
    """``step 2 of 4, 10%: `` before the last step is passed."""
    if state.plan is None or state.step is None:
        return ""
    step = state.step
    return f"step {step.index + 1} of {len(state.plan.steps)}, {step.traffic}: "


def _waits_for(state: State) -> str:
    """The gate in few words: the step is named before it."""
    step = state.step
    return state.waiting.removeprefix(f"step {step.index + 1} ") if step else state.waiting


def _does(of: Scene) -> str:
    state, plan = of.state, of.state.plan
    if plan is None:
        return "admitted, about to be planned" if state.admitted else "asks whether the release is admitted"
    step = state.step
    if step is None:
        return says_watch(state) or "settles: it becomes stable everywhere"
    if step.index in state.reached:
        if (gate := closed_gate(plan, step.index + 1, of.asked, of.now)) and _baked(state, step) >= step.bake:
            return f"baked; {gate} since {clock(_baked_at(of, step), of.now)}"
        return f"bakes, {say_about(_baked(state, step))} of {say_seconds(step.bake)} observed"
    staged = sum(host.staged for host in state.hosts.values())
    if staged < len(state.hosts):
        return f"brings the release to the hosts, {staged} of {len(state.hosts)} have it"
    there = sum(state.hosts[name].track == "canary" for name in step.hosts)
    return f"switches its hosts, {there} of {len(step.hosts)} run the new release"


def _baked(state: State, step: PlannedStep) -> float:
    return state.observed.get(step.index, 0.0)


def _baked_at(of: Scene, step: PlannedStep) -> float:
    """When the step's bake had been observed whole."""
    whole = (
        entry.at
        for entry in of.entries
        if isinstance(entry.event, ev.Judged) and entry.event.step == step.index and entry.event.observed >= step.bake
    )
    return next(whole, of.now)


def _what(of: Scene) -> Iterator[str]:
    opened = next((one for one in of.entries if isinstance(one.event, ev.Opened)), None)
    if opened is None or not isinstance(opened.event, ev.Opened):
        return
    why = f": {opened.event.reason}" if opened.event.reason else ""
    asked = f"asked for by {opened.actor or 'nobody'} at {clock(opened.at, of.now)}{why}"
    yield shown(f"{of.state.app} {of.state.release_version} into {of.state.env}, rollout {of.state.rollout}; {asked}")


def _drawn(of: Scene) -> Iterator[str]:
    """When this was so: Prefect's page does not say when it was drawn, and one whose driver died stays as it is."""
    if of.state.closed:
        return
    at = f"This was so at {clock(of.now, of.now)}"
    if of.state.waiting:
        yield f"{at}, and is drawn again when it goes on: nobody has to drive it while it waits"
    else:
        yield f"{at}, and is drawn again at every look: where that is minutes ago, `gopub status` says how it stands"


def _verdict(of: Scene) -> Iterator[str]:
    state = of.state
    if state.verdict is None:
        return
    view = verdict_view(state.verdict, state.plan.unpinned if state.plan else ())
    says = view.says if view.proof else f"{view.kind} by rule {view.rule}: {view.reason}"
    turned = state.closed or state.back
    if turned is not None and turned.reason not in ("", state.verdict.reason):
        yield f"The last verdict before: {shown(says)}"
    elif turned is None or because(state.verdict, turned.reason) != says:  # else the headline says it
        yield f"**{shown(says)}**"
    if view.proof:
        yield shown(view.proof)
    if view.todo and turned is None and asks_for(of) is None:
        yield f"To do: {shown(view.todo)}"


def _next(of: Scene, form: str) -> Iterator[str]:
    """What comes next and when, as far as it is known, and what whoever reads this may do."""
    state, plan, step = of.state, of.state.plan, of.state.step
    if state.closed:
        yield from _left(of, state.closed)
        return
    if plan is None or step is None or state.back:
        return
    if hold := hold_of(of.asked):
        ends = clock(held_until(plan, state.reached, hold), of.now)
        how = "`gopub resume`, or Resume on its run's page" if hold.run else "`gopub resume`"
        yield f"**Next:** it goes back at {ends}, unless somebody resumes it ({how})"
        return
    if (index := asks_for(of)) is not None:
        yield _asked_for(of, plan.steps[index], form)
        return
    if state.waiting:
        opens = opens_at(plan, step.index, of.asked, of.now)
        yield f"**Next:** it goes on at {clock(opens, of.now)}" if opens else "**Next:** it goes on within a minute"
        return
    if step.index not in state.reached:
        return
    after = _after(plan, step)
    gate = closed_gate(plan, step.index + 1, of.asked, of.now)
    earliest = clock(of.now + max(0.0, step.bake - _baked(state, step)), of.now)
    gated = f", and {gate}" if gate else ""
    late = f"it goes back at {_deadline(of, plan)} if it is not through by then"
    yield f"**Next:** {after} at {earliest} at the earliest{shown(gated)}; {late}"


def _asked_for(of: Scene, step: PlannedStep, form: str) -> str:
    """The one thing that whoever opens this page may have to do."""
    where = f"**[the form]({form})**" if form else "the form in Prefect"
    how = f"approve it in {where} or by `gopub promote`; to say no, choose abort there, or `gopub abort`"
    late = (
        f"; it goes back at {_deadline(of, of.state.plan)} if nobody does" if of.state.plan and of.state.reached else ""
    )
    return (
        f"**Next:** step {step.index + 1} ({shown(step.says)}) begins once {shown(step.approve)} approves: {how}{late}"
    )


def _deadline(of: Scene, plan: Plan) -> str:
    return clock(min(of.state.reached.values()) + plan.deadline, of.now)


def _left(of: Scene, closed: ev.Closed) -> Iterator[str]:
    """What is left to do where it is over."""
    verdict = of.state.verdict
    if owed := [*of.state.owed, *closed.owed_edges]:
        yield f"**Next:** {shown(names(owed))} could not be confirmed: `gopub recover` once {_they(owed)}"
    if verdict and (view := verdict_view(verdict)).todo and because(verdict, closed.reason) == view.says:
        yield f"**Next:** {shown(view.todo)}"
    elif closed.outcome is Outcome.WITHDRAWN:
        yield "**Next:** nothing has to be done: the release is not blamed, and may be rolled out again"


def _they(owed: Sequence[str]) -> str:
    return "it answers" if len(owed) == 1 else "they answer"


def _after(plan: Plan, step: PlannedStep) -> str:
    following = next((one for one in plan.steps if one.index == step.index + 1), None)
    return f"step {following.index + 1} ({shown(following.says)})" if following else "it becomes stable everywhere"


def _steps(of: Scene) -> Iterator[str]:
    if of.state.plan is None:
        return
    rows = [
        (str(step.index + 1), step.says, say_seconds(step.bake), step.approve or "-", _step_stands(of, step))
        for step in of.state.plan.steps
    ]
    yield table(("step", "hosts, traffic", "bake", "approval", "stands"), rows)


def _step_stands(of: Scene, step: PlannedStep) -> str:
    state = of.state
    if step.index in state.passed:
        return "passed"
    if asks_for(of) == step.index:
        return "waits for its approval"
    if state.step is None or step.index != state.step.index:
        return "-"
    if state.closed or state.back:
        return "turned around here"
    if step.index not in state.reached:
        return "now"
    return "baked" if _baked(state, step) >= step.bake else "bakes"


def _hosts(of: Scene) -> Iterator[str]:
    if of.state.plan is not None:
        yield host_table(of.state, of.entries)
        if unpinned := of.state.plan.unpinned:
            yield f"Unpinned, no key there checks who orders: {shown(names(unpinned))}"


def _figures(state: State) -> Iterator[str]:
    if state.verdict is not None and (table := figures_table(verdict_view(state.verdict).figures)):
        yield table.strip()


def _story(of: Scene) -> Iterator[str]:
    """Once it is over: what was seen, concluded, rested on and not seen."""
    if of.state.closed is not None and of.state.verdict is not None:
        _, *lines = story(of.entries, looked=of.looks)
        yield "\n".join(f"- {shown(' '.join(line.split()))}" for line in lines)


def _image(picture: str) -> str:
    """The picture in the page itself, as Prefect's Markdown shows an image: an ``<img>`` in which nothing runs."""
    data = base64.b64encode(picture.encode()).decode()
    return f"![evidence, failures, latency and memory over time](data:image/svg+xml;base64,{data})"


def _when(of: Scene, kind: type[ev.Event]) -> float:
    """When the last entry of this kind was written."""
    return next((one.at for one in reversed(of.entries) if isinstance(one.event, kind)), of.now)
