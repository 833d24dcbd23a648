"""The read model by the journal: envs, rollouts, runs. What each is like is said by the pure modules beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import islice, takewhile

from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.reading import asked, read_state
from gopub.journal.state import EnvState, fold_env
from gopub.journal.store import Journal
from gopub.journal.streams import env_stream, stream_of
from gopub.views.env import EnvView, env_view, says
from gopub.views.past import of_one_stream, read_past, told_by
from gopub.views.rollout import Driver, Outline, RolloutView, damaged_rollout, outline_of, rollout_view
from gopub.views.runs import SeatView, seats_of
from gopub.views.standing import Standing, standing


def read_envs(journal: Journal, now: float, app: str = "", env: str = "") -> list[EnvView]:
    """Every env (of this app and name, if given), in the order in which they began; a damaged one hides no other.

    Raises:
        GopubError: GP701 the journal cannot be read.
    """
    named = [stream.split("/", 2)[1:] for stream in journal.streams("env/")]
    return [
        _env(journal, its_app, its_env, now)
        for its_app, its_env in named
        if app in ("", its_app) and env in ("", its_env)
    ]


def stands(journal: Journal, rollout: str, now: float) -> Standing | None:
    """How a rollout stands; None where the journal does not know it.

    Raises:
        GopubError: the journal, or what it says of this rollout, cannot be read.
    """
    state = read_state(journal, rollout)
    return standing(state, asked(journal, rollout), now) if state.rollout else None


def outline(journal: Journal, rollout: str) -> Outline:
    """A rollout as far as it takes to name it; see `stands` for what it raises."""
    return outline_of(read_state(journal, rollout))


def read_seats(journal: Journal, rollout: str) -> tuple[SeatView, ...]:
    """The runs that drove a rollout; see `stands` for what it raises."""
    return seats_of(entry.event for entry in journal.read_turns(stream_of(rollout)))


def closed_by(entry: Entry) -> str:
    """The rollout that an entry of an env's stream closes; empty where it is another entry."""
    return entry.event.rollout if isinstance(entry.event, ev.EnvClosed) else ""


def project_of(entries: Iterable[Entry]) -> str:
    """The folder that a rollout was started from, by its entries."""
    return next((entry.event.project for entry in entries if isinstance(entry.event, ev.Opened)), "")


def rollout_of(
    journal: Journal, app: str, env: str, runs: Collection[str], since: float = 0.0, most: int | None = None
) -> str:
    """The newest rollout into this env that one of these runs drove; empty while the journal knows none.

    The rollout of a flow inside another one is recorded under the run that somebody started, the outer one. What was
    opened before ``since`` (seconds since the epoch), when the run was made, is not looked at: it is another's;
    ``most`` looks at so many, the newest, alone.

    Raises:
        GopubError: the journal, or a stream of this env's, cannot be read.
    """
    entries = reversed(journal.read(env_stream(app, env)))
    late = takewhile(lambda entry: entry.at >= since, entries)
    opened = (entry.event.rollout for entry in late if isinstance(entry.event, ev.EnvOpened))
    driven = (one for one in islice(opened, most) if any(seat.run in runs for seat in read_seats(journal, one)))
    return next(driven, "")


def under_way_since(journal: Journal, since: float, app: str = "", env: str = "") -> Iterator[str]:
    """Every rollout (of this app and env, if given) that was active at some time after ``since``.

    Raises:
        GopubError: as `stands`.
    """
    for stream in journal.streams("env/"):
        _, its_app, its_env = stream.split("/", 2)
        if app not in ("", its_app) or env not in ("", its_env):
            continue
        entries = journal.read(stream)
        opened = [entry.event.rollout for entry in entries if isinstance(entry.event, ev.EnvOpened)]
        closed = {entry.event.rollout: entry.at for entry in entries if isinstance(entry.event, ev.EnvClosed)}
        yield from (one for one in dict.fromkeys(opened) if closed.get(one, since) >= since)


def _env(journal: Journal, app: str, env: str, now: float) -> EnvView:
    try:
        entries = journal.read(env_stream(app, env))
        state = fold_env(entry.event for entry in entries)
    except GopubError as error:
        return EnvView(app, env, damage=of_one_stream(error))
    at = entries[-1].at if entries else 0.0
    over = [told for told in told_by(app, env, entries) if told.rollout != state.active]
    last = read_past(journal, over[-1], now) if over else None
    try:
        return env_view(app, env, state, at, _active(journal, app, env, state, now), last)
    except GopubError as error:
        damage = of_one_stream(error)
    lost = damaged_rollout(state.active, says(damage), _driver(journal, app, env))
    return replace(env_view(app, env, state, at, lost, last), damage=damage)


def _active(journal: Journal, app: str, env: str, state: EnvState, now: float) -> RolloutView | None:
    rollout = state.active
    if not rollout:
        return None
    driver = _driver(journal, app, env)
    return rollout_view(rollout, read_state(journal, rollout), asked(journal, rollout), driver, now)


def _driver(journal: Journal, app: str, env: str) -> Driver:
    seated = journal.seated(app, env)
    return Driver(seated[0].holder, seated[1]) if seated else Driver()
