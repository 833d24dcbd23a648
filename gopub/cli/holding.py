"""`gopub hold` and `gopub resume`: let a rollout grow no further, and let it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gopub.cli.control import AppOption, EnvOption, JsonOption, ReasonOption, RolloutArgument
from gopub.cli.driving import go_on
from gopub.cli.saying import say

if TYPE_CHECKING:
    from gopub.journal import events as ev
    from gopub.usecases.recover import Active


def hold(rollout: RolloutArgument = "", app: AppOption = "", env: EnvOption = "", reason: ReasonOption = "") -> None:
    """Let a rollout grow no further until it is resumed. It may still go back, and does at its deadline."""
    from gopub.cli.meaning import meant
    from gopub.usecases.ask import ask_hold
    from gopub.usecases.recover import active
    from gopub.views.reading import outline
    from gopub.wiring import settings

    journal = settings.journal()
    name = meant(journal, rollout, app, env, changes=True)
    whose = outline(journal, name)
    hold = ask_hold(journal, name, reason)
    for one in active(journal, whose.app, whose.env):
        say(_held(name, one, hold), err=True)


def resume(
    rollout: RolloutArgument = "",
    app: AppOption = "",
    env: EnvOption = "",
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let a rollout that is held go on."""
    from gopub.cli.meaning import meant
    from gopub.usecases.ask import ask_resume
    from gopub.views.reading import outline
    from gopub.wiring import settings

    journal = settings.journal()
    name = meant(journal, rollout, app, env, changes=True)
    whose = outline(journal, name)
    ask_resume(journal, name, reason)
    say(f"asked {name} ({whose.app} into {whose.env}) to go on", err=True)
    go_on(journal, whose.app, whose.env, as_json=as_json)


def _held(name: str, one: Active, hold: ev.Asked) -> str:
    """What a person must know of the hold: whose it is, how long it lasts, and whether anybody guards the canary."""
    from gopub.judge.gates import say_hold
    from gopub.views.amounts import day
    from gopub.views.standing import until

    text = f"{name} ({one.state.app} into {one.state.env}) is {say_hold(hold)}; it may still go back"
    if end := until(one.state, hold):
        text += f", and does at {day(end)}"
    if one.state.touched and not one.driven:
        text += "; nobody drives it, so its canary leaves the traffic: `gopub recover` guards it"
    return text
