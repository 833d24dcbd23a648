"""Which rollout a command means: the one that is named, else one of this folder's app, and never somebody else's.

On a machine that drives several services, "the newest" is anybody's; a command that takes back or promotes means the
service whose gopub.yaml lies here or above. Where it could mean several, or nobody knows the app, it means none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gopub.errors import GopubError, UsageError

if TYPE_CHECKING:
    from gopub.journal.store import Journal
    from gopub.views.known import Candidate

LAST = "last"
"""What stands for no name."""
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Here:
    """The app of the folder that a person stands in; where it is not known, why."""

    app: str = ""
    why: str = "there is no gopub.yaml here or in a folder above"


def meant(journal: Journal, name: str, app: str = "", env: str = "", *, changes: bool, here: Here | None = None) -> str:
    """The id of the rollout that a command means.

    Args:
        journal: where rollouts are looked for.
        name: an id or the beginning of one; empty or ``last``: none was named.
        app: only this app's; empty: that of the gopub.yaml here or above.
        env: only those into this env; empty: any.
        changes: True for a command that changes something: it means active rollouts only.
        here: what is known of this folder; None: read it.

    Raises:
        UsageError: GP941 there is no such rollout; GP965 it could mean several, or the app is not known.
    """
    from gopub.views.known import candidates

    known = candidates(journal)
    if name not in ("", LAST):
        return named(known, name, app, env)
    here = Here(app) if app else here or this_folder()
    if not here.app and (changes or len({one.app for one in known}) > 1):
        raise _which(f"which app is meant? {here.why}", [one for one in known if one.active or not changes])
    return unnamed([one for one in known if here.app in ("", one.app)], here.app, env, changes=changes)


def named(known: Sequence[Candidate], name: str, app: str = "", env: str = "") -> str:
    """The one rollout whose id is, or begins with, ``name``.

    Raises:
        UsageError: GP941 none, or several, or it is not of this app and env.
    """
    fits = [one for one in known if one.rollout == name] or [one for one in known if one.rollout.startswith(name)]
    ours = [one for one in fits if app in ("", one.app) and env in ("", one.env)]
    if len(ours) == 1:
        return ours[0].rollout
    newest = ", ".join(one.rollout for one in known[-_MOST_SHOWN:]) or "none yet"
    if len(fits) == 1:
        what = f"rollout {fits[0].says} is not of {' in '.join(filter(None, (app, env)))}"
        raise UsageError("GP941", what, hint="leave out --app and --env, or name another rollout")
    what = f"{len(ours)} rollouts begin with" if ours else "there is no rollout"
    raise UsageError("GP941", f"{what} {name!r}", hint=f"the newest are: {newest}")


def insist_known(app: str, env: str, here: Here | None = None) -> None:
    """Insist that an app and env without a rollback kit are no slip of the pen: the journal or this folder knows them.

    A journal that cannot be read, or knows nothing at all, says nothing against them.

    Raises:
        UsageError: GP941 others are known, and these are not.
    """
    from gopub.wiring import settings

    try:
        there = [tuple(stream.split("/", 2)[1:]) for stream in settings.journal().streams("env/")]
    except GopubError:
        return
    here = here or this_folder()
    if not there or (app, env) in there or here.app == app:
        return
    known = ", ".join(f"{its_app} in {its_env}" for its_app, its_env in sorted(there)[:_MOST_SHOWN])
    raise UsageError("GP941", f"there is no rollout of {app} in {env}", hint=f"there are: {known}; "
                     "if it was driven on another machine, run it there")  # fmt: skip


def unnamed(known: Sequence[Candidate], app: str, env: str, *, changes: bool) -> str:
    """The one rollout of an app that can be meant without a name: the active one; to read, else the newest.

    Raises:
        UsageError: GP941 there is none; GP965 there are several.
    """
    ours = [one for one in known if env in ("", one.env)]
    active = [one for one in ours if one.active]
    whose = " in ".join(filter(None, (app, env))) or "any app"
    if len(active) > 1:
        raise _which(f"which rollout is meant? {len(active)} of {whose} are under way", active)
    if active:
        return active[0].rollout
    if changes:
        raise UsageError("GP941", f"no rollout of {whose} is under way", hint="`gopub status` shows all apps and envs")
    if not ours:
        raise UsageError("GP941", f"there is no rollout of {whose} yet", hint="`gopub status` shows all apps and envs")
    return ours[-1].rollout


def this_folder(start: Path | None = None) -> Here:
    """The app whose gopub.yaml lies in a folder or above it."""
    from gopub.spec.finding import find_spec
    from gopub.spec.loader import load_spec

    try:
        return Here(load_spec(find_spec(start or Path())).spec.app)
    except GopubError as error:
        return Here() if error.code == "GP110" else Here(why=f"gopub.yaml here cannot be read: {error.problem}")


def _which(problem: str, several: Sequence[Candidate]) -> UsageError:
    shown = ", ".join(one.says for one in several[-_MOST_SHOWN:]) or "none is under way"
    return UsageError("GP965", problem, hint=f"name a rollout, or its app and env with --app and --env: {shown}")
