"""people.yaml: who the people and groups are that an ``approve:`` names, and by what a login is believed.

It is the house's file, never a commit's: it is looked for in /etc/gopub first, where no user and no variable replaces
it, then as ``GOPUB_PEOPLE`` names it, then in the user's configuration. It is read anew at each approval, so a group
is who is in it now.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from gopub.errors import GopubError, RefusedError, UsageError
from gopub.paths import config_dir
from gopub.spec.base import Model
from gopub.spec.explain import Explainer, at
from gopub.spec.fields import Word, refuse
from gopub.spec.finding import read_text
from gopub.spec.kinds import Kinds, SecretRef
from gopub.spec.loader import explained, together
from gopub.spec.reading import read_tree
from gopub.spec.texts import HeaderName, Network
from gopub.spec.tree import plain
from gopub.spec.trusting import too_wide

FILE = "people.yaml"
SYSTEM = Path("/etc/gopub")
SECRET_HEADER = "X-Gopub-Proxy"  # noqa: S105 - the name of the header
"""The header in which the proxy shows that it is the proxy."""
LEAST_SECRET = 16
UNKNOWN = "?"
"""Stands for the person who started a rollout, where that could not be found out."""
_PUSHED = "gitlab:"

Door = Literal["proxy", "os", "typed"]
"""How somebody came: a login at the proxy before Prefect's page, a user of a machine, a name typed into a form."""


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who decides: by which door, under which name, and what vouches for the name; empty: nothing does."""

    door: Door
    name: str
    verified: str = ""


class Person(Model):
    """The logins of one person; where none are listed for a door, the person's own name is the login there."""

    scalar_is_first = False

    login: tuple[Word, ...] = ()
    """At the proxy before Prefect's page: ann@corp.example."""
    os: tuple[Word, ...] = ()
    """The user of a machine on which `gopub promote` is typed."""
    gitlab: tuple[Word, ...] = ()
    """The user in GitLab whose pushes start rollouts; none listed: the person's own name."""

    def logins(self, name: str, door: Door) -> tuple[str, ...]:
        """Under which names this person, who is called ``name`` here, comes by that door."""
        listed = {"proxy": self.login, "os": self.os, "typed": (name,)}[door]
        return listed or (name,)


class Proxy(Model):
    """The proxy before Prefect's page that knows who is logged in."""

    scalar_is_first = False

    header: HeaderName = "X-Forwarded-User"
    """The header in which it says so."""
    peers: Annotated[tuple[Network, ...], Field(alias="from")] = ("127.0.0.1", "::1")
    """Where it comes from."""
    secret: SecretRef
    """What it shows in the header X-Gopub-Proxy."""
    seal: SecretRef
    """The key under which the server signs who answered, and workers read it."""
    operators: tuple[Word, ...] = ()
    """People and groups whose logins may do through it what the engine runs by; none: nobody."""

    @field_validator("peers")
    @classmethod
    def _its_own(cls, peers: tuple[str, ...]) -> tuple[str, ...]:
        if too_wide(peers):
            raise refuse(
                "GP990", f"{', '.join(peers)} is no address of a proxy of yours", "name the proxy's own address"
            )
        return peers


class People(Model):
    """The whole of people.yaml."""

    scalar_is_first = False

    schema_: Literal["gopub-people/v1"] = Field("gopub-people/v1", alias="schema")
    """The version of this language."""
    people: Mapping[Word, Person] = {}
    """The people by name."""
    groups: Mapping[Word, tuple[Word, ...]] = {}
    """Groups of them; an `approve:` names a group or a person."""
    verified: tuple[Word, ...] = ()
    """Where a typed name approves nothing: an environment (prod), one of an app's (orders/prod), or * for all."""
    four_eyes: tuple[Word, ...] = ()
    """Where who started a rollout approves none of its steps: as in verified."""
    proxy: Proxy | None = None
    """The proxy whose word on logins is believed; none: every name in Prefect's form is a typed one."""

    @model_validator(mode="after")
    def _plain(self) -> Self:
        """One login is one person, and a group has people that there are."""
        for problem in (*self._doubled(), *self._unknown()):
            raise refuse("GP990", problem, "one name is one person or one group, one login is one person")
        return self

    def _doubled(self) -> Iterator[str]:
        for name in sorted(self.people.keys() & self.groups.keys()):
            yield f"{name!r} is a person and a group"
        doors: tuple[Door, ...] = ("proxy", "os")
        for door in doors:
            seen: dict[str, str] = {}
            for name, person in self.people.items():
                for login in person.logins(name, door):
                    if seen.setdefault(login, name) != name:
                        yield f"the login {login!r} is {seen[login]}'s and {name}'s"

    def _unknown(self) -> Iterator[str]:
        for group, members in self.groups.items():
            for one in members:
                if one not in self.people:
                    yield f"{one!r} in the group {group} is none of people"
        for one in self.proxy.operators if self.proxy else ():
            if one not in self.people and one not in self.groups:
                yield f"{one!r} in operators is no person and no group"

    def person(self, who: Who) -> str:
        """What this file calls who comes; empty where it knows nobody of that login."""
        return next((name for name, one in self.people.items() if who.name in one.logins(name, who.door)), "")

    def insists(self, app: str, env: str) -> bool:
        """Whether typed names approve nothing there."""
        return _names(self.verified, app, env)

    def starter(self, who: Who | None, actor: str) -> str:
        """Who started a rollout, as this file calls them: by a login, or by a push in GitLab.

        Empty where nobody of this file did: a token, the end of another rollout, a name that somebody typed.
        """
        if who is not None:
            return self.person(who)
        pusher = actor.removeprefix(_PUSHED) if actor.startswith(_PUSHED) else ""
        return next((name for name, one in self.people.items() if pusher and pusher in (one.gitlab or (name,))), "")

    def operates(self, who: Who) -> bool:
        """Whether what Prefect runs by is this person's to change through the proxy."""
        named = self.proxy.operators if self.proxy else ()
        return self.person(who) in {member for one in named for member in self.groups.get(one, (one,))}

    def insist(self, who: Who, app: str, env: str) -> None:
        """Refuse a typed name where it approves nothing.

        Raises:
            RefusedError: GP991.
        """
        if not who.verified and self.insists(app, env):
            hint = "open Prefect's page through the proxy with the login, or use `gopub promote` under your own user"
            raise RefusedError("GP991", f"{who.name!r} is a typed name, and {env} takes none", hint=hint)

    def permit(self, approver: str, who: Who, app: str, env: str, by: str = "") -> str:
        """The person whom ``approver``, a person or a group, lets approve what ``by`` started.

        Raises:
            RefusedError: GP991 the name is a typed one, where that is not enough. GP992 nobody says who the approver
                is. GP993 it is somebody else. GP995 two are needed, and it is the one who started it.
        """
        self.insist(who, app, env)
        members = self.groups.get(approver, (approver,) if approver in self.people else None)
        if members is None:
            hint = "add it to people or groups of people.yaml; `gopub abort` needs no approval"
            raise RefusedError("GP992", f"{approver!r} is no person and no group of people.yaml", hint=hint)
        person = self.person(who)
        if person not in members:
            known = person or f"{who.name!r}, whom people.yaml does not know,"
            raise RefusedError("GP993", f"{known} may not approve for {approver}",
                               hint=f"ask {' or '.join(members) or 'nobody: the group is empty'}")  # fmt: skip
        if by in {person, UNKNOWN} and _names(self.four_eyes, app, env):
            others = " or ".join(one for one in members if one != person) or "nobody else: the group needs another"
            if by == person:
                raise RefusedError("GP995", f"{person} started it, and {env} takes another one's word",
                                   hint=f"ask {others}; to abort needs no approval")  # fmt: skip
            raise RefusedError("GP995", f"who started it could not be found out, and {env} takes another one's word",
                               hint="abort it, and start it anew")  # fmt: skip
        return person


def _names(places: tuple[str, ...], app: str, env: str) -> bool:
    return bool({env, f"{app}/{env}", "*"} & set(places))


def find_people() -> Path | None:
    """The file that counts here; None where there is none.

    Raises:
        UsageError: GP990 ``GOPUB_PEOPLE`` names none.
    """
    if (SYSTEM / FILE).is_file():
        return SYSTEM / FILE
    if named := os.environ.get("GOPUB_PEOPLE"):
        if not Path(named).is_file():
            raise UsageError("GP990", f"GOPUB_PEOPLE is {named!r}, and there is no such file", hint="mend or unset it")
        return Path(named)
    mine = config_dir() / FILE
    return mine if mine.is_file() else None


def load_people(path: Path, kinds: Kinds | None = None) -> People:
    """Read the file; ``kinds`` know the ways to secrets that plug-ins bring.

    Raises:
        SpecError: what is wrong with it; several mistakes together as an ErrorGroup.
    """
    return parse_people(read_text(path), str(path), path.parent, kinds)


def parse_people(text: str, file: str, base: Path | None = None, kinds: Kinds | None = None) -> People:
    """Read it from text; ``file`` is the name that errors show, secret files lie relative to ``base``.

    Raises:
        SpecError: what is wrong with the text; several mistakes together as an ErrorGroup.
    """
    root = read_tree(text, file)
    try:
        return People.model_validate(plain(root), context={"base": base, "kinds": kinds})
    except ValidationError as error:
        raise together(explained(error, Explainer(root, People))) from None
    except GopubError as error:
        raise at(root, (), error.code, error.problem, error.hint) from None
